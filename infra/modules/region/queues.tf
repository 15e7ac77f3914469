locals {
  # Made from names, so that a queue and its dead-letter queue can name each other when both are created.
  queue_arns = {
    for name in flatten([for name in keys(var.queues) : [name, "${name}-dlq"]]) :
    name => "arn:${var.partition}:sqs:${var.region}:${var.account}:${var.name}-${name}"
  }
  tls_only = {
    for name, arn in local.queue_arns : name => {
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }
  }
}

resource "aws_sqs_queue" "dead" {
  for_each = var.queues

  name                      = "${var.name}-${each.key}-dlq"
  message_retention_seconds = each.value.retention_seconds
  sqs_managed_sse_enabled   = true

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [local.queue_arns[each.key]]
  })
  policy = jsonencode({ Version = "2012-10-17", Statement = [local.tls_only["${each.key}-dlq"]] })
}

resource "aws_sqs_queue" "work" {
  for_each = var.queues

  name                       = "${var.name}-${each.key}"
  visibility_timeout_seconds = each.value.visibility_seconds
  message_retention_seconds  = each.value.retention_seconds
  sqs_managed_sse_enabled    = true

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead[each.key].arn
    maxReceiveCount     = each.value.max_receives
  })
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [local.tls_only[each.key]],
      [for bucket in each.value.sender_bucket_arn[*] : {
        Sid       = "NotificationsOfTheBucket"
        Effect    = "Allow"
        Principal = { Service = "s3.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = local.queue_arns[each.key]
        Condition = {
          ArnEquals    = { "aws:SourceArn" = bucket }
          StringEquals = { "aws:SourceAccount" = var.account }
        }
      }],
    )
  })
}
