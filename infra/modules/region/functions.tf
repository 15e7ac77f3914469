locals {
  fed       = { for name, function in var.functions : name => function if function.queue != null }
  scheduled = { for name, function in var.functions : name => function if function.queue == null }
  image_uri = join(startswith(var.image_tag, "sha256:") ? "@" : ":", [aws_ecr_repository.runtime.repository_url, var.image_tag])
}

resource "aws_cloudwatch_log_group" "function" {
  for_each = var.functions

  name              = "/aws/lambda/${var.name}-${each.key}"
  retention_in_days = var.log_retention_days
}

# Roles belong to the account, not to a region: their names carry it.
resource "aws_iam_role" "function" {
  for_each = var.functions

  name = "${var.name}-${each.key}-${var.region}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "function" {
  for_each = var.functions

  name = "function"
  role = aws_iam_role.function[each.key].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["arn:${var.partition}:logs:${var.region}:${var.account}:log-group:/aws/lambda/${var.name}-${each.key}:log-stream:*"]
      }],
      [for queue in each.value.queue[*] : {
        Sid      = "Drain"
        Effect   = "Allow"
        Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
        Resource = [local.queue_arns[queue]]
      }],
      [for permission in var.permissions[each.key] : merge(
        { Sid = permission.sid, Effect = "Allow", Action = permission.actions, Resource = permission.resources },
        { for condition in permission.conditions[*] : "Condition" => condition },
      )],
    )
  })
}

resource "aws_lambda_function" "function" {
  for_each = var.functions

  function_name = "${var.name}-${each.key}"
  role          = aws_iam_role.function[each.key].arn
  package_type  = "Image"
  image_uri     = local.image_uri
  architectures = ["x86_64"]
  memory_size   = each.value.memory_mb
  timeout       = each.value.timeout_seconds

  # The image's own command is that of Lithops, which would take an SQS event for a job of its own.
  image_config {
    command = [each.value.handler]
  }
  environment {
    variables = var.environments[each.key]
  }

  depends_on = [aws_cloudwatch_log_group.function, aws_ecr_repository_policy.runtime, aws_iam_role_policy.function]
}

resource "aws_lambda_event_source_mapping" "queue" {
  for_each = local.fed

  event_source_arn        = aws_sqs_queue.work[each.value.queue].arn
  function_name           = aws_lambda_function.function[each.key].arn
  enabled                 = var.functions_enabled
  batch_size              = each.value.batch_size
  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = each.value.max_concurrency
  }
}

resource "aws_cloudwatch_event_rule" "schedule" {
  for_each = local.scheduled

  name                = "${var.name}-${each.key}"
  schedule_expression = "rate(${each.value.schedule_minutes} ${each.value.schedule_minutes == 1 ? "minute" : "minutes"})"
  state               = var.functions_enabled ? "ENABLED" : "DISABLED"
}

resource "aws_cloudwatch_event_target" "schedule" {
  for_each = local.scheduled

  rule = aws_cloudwatch_event_rule.schedule[each.key].name
  arn  = aws_lambda_function.function[each.key].arn
}

resource "aws_lambda_permission" "schedule" {
  for_each = local.scheduled

  statement_id  = "Schedule"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.function[each.key].function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.schedule[each.key].arn
}

# The next run does what this one did not: no retries, so that one run has ended when the next begins.
resource "aws_lambda_function_event_invoke_config" "schedule" {
  for_each = local.scheduled

  function_name                = aws_lambda_function.function[each.key].function_name
  maximum_retry_attempts       = 0
  maximum_event_age_in_seconds = min(each.value.schedule_minutes * 60, 21600)
}
