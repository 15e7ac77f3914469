locals {
  # One row of three graphs per queue, in the order of the pipeline.
  dashboard_rows = [for name in keys(local.list.queues) : {
    queue    = "${local.name}-${name}"
    function = "${local.name}-${one([for function_name, function in local.functions : function_name if function.queue == name])}"
    region   = local.queues[name].region
    title    = name
  }]

  queue_widgets = flatten([
    for number, row in local.dashboard_rows : [
      {
        type = "metric", x = 0, y = number * 6, width = 8, height = 6
        properties = {
          title = "${row.title}: messages", region = row.region, stat = "Maximum", period = 60
          metrics = [
            ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", row.queue, { label = "waiting" }],
            ["AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "QueueName", row.queue, { label = "in flight or hidden" }],
            ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "${row.queue}-dlq", { label = "dead letters" }],
            ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", row.queue, { label = "oldest (s)", yAxis = "right" }],
          ]
        }
      },
      {
        type = "metric", x = 8, y = number * 6, width = 8, height = 6
        properties = {
          title = "${row.title}: function", region = row.region, stat = "Sum", period = 300
          metrics = [
            ["AWS/Lambda", "Invocations", "FunctionName", row.function],
            ["AWS/Lambda", "Errors", "FunctionName", row.function],
            ["AWS/Lambda", "Throttles", "FunctionName", row.function],
          ]
        }
      },
      {
        type = "metric", x = 16, y = number * 6, width = 8, height = 6
        properties = {
          title = "${row.title}: duration and concurrency", region = row.region, period = 300
          metrics = [
            ["AWS/Lambda", "Duration", "FunctionName", row.function, { stat = "p50" }],
            ["AWS/Lambda", "Duration", "FunctionName", row.function, { stat = "p99" }],
            ["AWS/Lambda", "ConcurrentExecutions", "FunctionName", row.function, { stat = "Maximum", yAxis = "right" }],
          ]
        }
      },
    ]
  ])

  # The workers' own metrics: how attempts ended, by product.
  outcome_widgets = [
    for number, name in keys(local.workers) : {
      type = "metric", x = number * 8, y = length(local.dashboard_rows) * 6, width = 8, height = 6
      properties = {
        title = "${name}: attempts", region = local.workers[name].region, stat = "Sum", period = 300, stacked = true
        metrics = [
          for state in ["SUCCEEDED", "NO_DATA", "RETRYING", "FAILED"] : ["ttc", state, "product", local.workers[name].queue]
        ]
      }
    }
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  provider = aws.usw2

  dashboard_name = local.name
  dashboard_body = jsonencode({ widgets = concat(local.queue_widgets, local.outcome_widgets) })
}
