# What each function may do besides draining its own queue and writing its own log. Whoever may not list a bucket is
# told 403 instead of 404 of an object that is not there, and could not tell "missing" from "refused".
locals {
  table_arn = "arn:${local.partition}:dynamodb:${local.home}:${local.account}:table/${local.table}"
  queue_arns = {
    for name, queue in local.queues : name => "arn:${local.partition}:sqs:${queue.region}:${local.account}:${local.name}-${name}"
  }
  dest_arns          = [for dest in local.dests : replace(dest, "s3://", "arn:${local.partition}:s3:::")]
  dest_bucket_arns   = distinct([for arn in local.dest_arns : split("/", arn)[0]])
  product_queue_arns = [for worker in local.workers : local.queue_arns[worker.queue]]

  rows            = { sid = "Rows", actions = ["dynamodb:GetItem", "dynamodb:PutItem"], resources = [local.table_arn] }
  look_in_control = { sid = "LookInControl", actions = ["s3:ListBucket"], resources = [local.control_bucket_arn] }
  look_at_outputs = { sid = "LookAtOutputs", actions = ["s3:ListBucket"], resources = local.dest_bucket_arns }
  outputs         = [for arn in local.dest_arns : "${arn}/*"]

  permissions = merge(
    {
      inbox = [
        { sid = "Requests", actions = ["s3:GetObject", "s3:GetObjectVersion"], resources = ["${local.control_bucket_arn}/requests/*"] },
        { sid = "TileIndex", actions = ["s3:GetObject"], resources = ["${local.control_bucket_arn}/${local.tile_index_key}"] },
        { sid = "Receipts", actions = ["s3:PutObject"], resources = ["${local.control_bucket_arn}/receipts/*"] },
        {
          sid       = "Plans"
          actions   = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"]
          resources = ["${local.control_bucket_arn}/jobs/*"]
        },
        local.look_in_control,
        local.rows,
        {
          sid       = "ChunksAndHistory"
          actions   = ["dynamodb:Query"]
          resources = [local.table_arn, "${local.table_arn}/index/jobs", "${local.table_arn}/index/activity"]
        },
        { sid = "SendChunks", actions = ["sqs:SendMessage"], resources = [local.queue_arns["chunks"]] },
      ]
      chunks = [
        { sid = "Plans", actions = ["s3:GetObject"], resources = ["${local.control_bucket_arn}/jobs/*"] },
        local.look_in_control,
        { sid = "Outputs", actions = ["s3:GetObject"], resources = local.outputs },
        local.look_at_outputs,
        local.rows,
        { sid = "LookForRoom", actions = ["sqs:GetQueueAttributes"], resources = local.product_queue_arns },
        { sid = "Hide", actions = ["sqs:ChangeMessageVisibility"], resources = [local.queue_arns["chunks"]] },
        { sid = "SendTasks", actions = ["sqs:SendMessage"], resources = local.product_queue_arns },
      ]
      reconcile = [
        {
          sid        = "ListRequestsAndReceipts"
          actions    = ["s3:ListBucket"]
          resources  = [local.control_bucket_arn]
          conditions = { StringLike = { "s3:prefix" = ["requests/*", "receipts/*"] } }
        },
        local.rows,
        { sid = "DueRows", actions = ["dynamodb:Query"], resources = ["${local.table_arn}/index/due"] },
        {
          sid       = "SendAgain"
          actions   = ["sqs:SendMessage"]
          resources = concat(local.product_queue_arns, [for arn in local.product_queue_arns : "${arn}-dlq"], [local.queue_arns["inbox"], local.queue_arns["chunks"]])
        },
      ]
    },
    {
      for name, worker in local.workers : name => concat([
        { sid = "Hide", actions = ["sqs:ChangeMessageVisibility"], resources = [local.queue_arns[worker.queue]] },
        { sid = "DeadLetters", actions = ["sqs:SendMessage"], resources = ["${local.queue_arns[worker.queue]}-dlq"] },
        { sid = "Outputs", actions = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], resources = local.outputs },
        local.look_at_outputs,
        local.rows,
        ], contains(worker.environment, "TTC_S1_SUBSCRIPTION_KEY_SECRET") ? [
        { sid = "SubscriptionKey", actions = ["secretsmanager:GetSecretValue"], resources = [module.control.s1_subscription_key_arn] },
      ] : [])
    },
  )
}
