# Not encrypted with a key of ours: CloudWatch may not publish to a topic under the key that AWS manages, and alarms
# say nothing that is secret.
resource "aws_sns_topic" "alarms" {
  name = "${var.name}-alarms"
}

resource "aws_sns_topic_policy" "alarms" {
  arn = aws_sns_topic.alarms.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AlarmsOfThisAccount"
      Effect    = "Allow"
      Principal = { Service = "cloudwatch.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.alarms.arn
      Condition = { StringEquals = { "aws:SourceAccount" = var.account } }
    }]
  })
}

resource "aws_sns_topic_subscription" "email" {
  for_each = var.alarm_emails

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.value
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  for_each = var.queues

  alarm_name          = "${var.name}-${each.key}-dead-letters"
  alarm_description   = "Tasks have failed for good: tracker failures --job ID says why, tracker redrive sends them again."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead[each.key].name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "oldest_message" {
  for_each = var.queues

  alarm_name          = "${var.name}-${each.key}-oldest-message"
  alarm_description   = "Messages wait longer than ${each.value.oldest_seconds / 3600} hours; they are lost after ${each.value.retention_seconds / 86400} days."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = aws_sqs_queue.work[each.key].name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.oldest_seconds
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "no_progress" {
  for_each = var.queues

  alarm_name          = "${var.name}-${each.key}-no-progress"
  alarm_description   = "Messages have waited for half an hour and none was finished."
  evaluation_periods  = 2
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]

  metric_query {
    id          = "stuck"
    label       = "waiting, and none finished"
    expression  = "IF(FILL(waiting, 0) > 0 AND FILL(finished, 0) < 1, 1, 0)"
    return_data = true
  }
  metric_query {
    id = "waiting"

    metric {
      namespace   = "AWS/SQS"
      metric_name = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = aws_sqs_queue.work[each.key].name }
      period      = 900
      stat        = "Minimum"
    }
  }
  metric_query {
    id = "finished"

    metric {
      namespace   = "AWS/SQS"
      metric_name = "NumberOfMessagesDeleted"
      dimensions  = { QueueName = aws_sqs_queue.work[each.key].name }
      period      = 900
      stat        = "Sum"
    }
  }
}

# A task that fails is no error of its function: these are crashes, timeouts and images that do not start.
resource "aws_cloudwatch_metric_alarm" "errors" {
  for_each = var.functions

  alarm_name          = "${var.name}-${each.key}-errors"
  alarm_description   = "More than 5 % of the invocations crashed or ran out of time: /aws/lambda/${var.name}-${each.key} says why."
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 5
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]

  metric_query {
    id          = "rate"
    label       = "errors (%)"
    expression  = "100 * errors / invocations"
    return_data = true
  }
  dynamic "metric_query" {
    for_each = { errors = "Errors", invocations = "Invocations" }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/Lambda"
        metric_name = metric_query.value
        dimensions  = { FunctionName = aws_lambda_function.function[each.key].function_name }
        period      = 900
        stat        = "Sum"
      }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "silent" {
  for_each = local.scheduled

  alarm_name          = "${var.name}-${each.key}-silent"
  alarm_description   = "It has not run for four of its intervals: nobody looks after lost messages and crashed workers."
  actions_enabled     = var.functions_enabled
  namespace           = "AWS/Lambda"
  metric_name         = "Invocations"
  dimensions          = { FunctionName = aws_lambda_function.function[each.key].function_name }
  statistic           = "Sum"
  period              = each.value.schedule_minutes * 240
  evaluation_periods  = 1
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# A provider that refuses our credentials is waited for, free of charge: somebody must be told to act.
resource "aws_cloudwatch_log_metric_filter" "refused" {
  for_each = toset([for name in keys(var.functions) : name if contains(var.workers, name)])

  name           = "refused"
  log_group_name = aws_cloudwatch_log_group.function[each.key].name
  pattern        = "{ $.cause = \"auth\" }"

  metric_transformation {
    namespace = var.name
    name      = "${each.key}-refused"
    value     = "1"
    unit      = "Count"
  }
}

resource "aws_cloudwatch_metric_alarm" "refused" {
  for_each = aws_cloudwatch_log_metric_filter.refused

  alarm_name          = "${var.name}-${each.key}-refused"
  alarm_description   = "A provider refuses our credentials, and tasks wait for somebody to mend them."
  namespace           = var.name
  metric_name         = "${each.key}-refused"
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}
