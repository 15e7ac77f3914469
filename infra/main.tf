data "aws_caller_identity" "this" {
  provider = aws.usw2
}

data "aws_partition" "this" {
  provider = aws.usw2
}

locals {
  list = jsondecode(file("${path.module}/functions.json"))
  home = local.list.home_region
  name = "ttc-${var.env}"
  tags = { "wri:project" = "GRI-ttc", "ttc:env" = var.env, "ttc:managed-by" = "terraform" }

  account   = data.aws_caller_identity.this.account_id
  partition = data.aws_partition.this.partition

  functions = {
    for function in local.list.functions : function.name => {
      region           = function.region
      handler          = function.handler
      queue            = try(function.queue, null)
      schedule_minutes = try(function.schedule_minutes, null)
      memory_mb        = function.memory_mb
      timeout_seconds  = function.timeout_seconds
      max_concurrency  = function.max_concurrency
      batch_size       = try(function.batch_size, 1)
      environment      = function.environment
    }
  }
  drained_by = { for name, function in local.functions : function.queue => function if function.queue != null }
  workers    = { for name, function in local.functions : name => function if startswith(function.handler, "consumers.") }

  # A queue's margin is what ard/transitions.py adds to a lease. AWS advises six times the function's timeout, for
  # consumers whose only lock is the message: here the row in the table is the lock, and its lease says when a
  # message that comes back may be worked on. A longer time would only keep a dead worker's task waiting.
  queues = {
    for name, queue in local.list.queues : name => {
      region             = queue.region
      max_receives       = queue.max_receives
      retention_seconds  = queue.retention_days * 24 * 60 * 60
      visibility_seconds = local.drained_by[name].timeout_seconds + 60
      # A chunk waits on purpose until there is room for its tasks, for days when its job is large.
      oldest_seconds    = name == "chunks" ? (queue.retention_days - 2) * 24 * 60 * 60 : var.oldest_message_hours * 60 * 60
      sender_bucket_arn = name == "inbox" ? local.control_bucket_arn : null
    }
  }

  control_bucket     = "${local.name}-control-${local.account}"
  outputs_bucket     = "${local.name}-outputs-${local.account}"
  table              = "${local.name}-status"
  control_bucket_arn = "arn:${local.partition}:s3:::${local.control_bucket}"
  tile_index_key     = "index/tiles.parquet"
  default_dest       = "s3://${local.outputs_bucket}/ttc"
  dests              = concat([local.default_dest], var.further_dests)

  deployed_queues = merge(module.euc1.queues, module.usw2.queues)
  product_queues = {
    for name, worker in local.workers : worker.queue => {
      url             = local.deployed_queues[worker.queue].url
      dlq_url         = local.deployed_queues[worker.queue].dlq_url
      region          = worker.region
      memory_mb       = worker.memory_mb
      timeout_seconds = worker.timeout_seconds
      max_concurrency = worker.max_concurrency
    }
  }

  control_environment = {
    TTC_TABLE           = local.table
    TTC_TABLE_REGION    = local.home
    TTC_QUEUES          = jsonencode(local.product_queues)
    TTC_CONTROL_BUCKET  = local.control_bucket
    TTC_CONTROL_REGION  = local.home
    TTC_INBOX_QUEUE_URL = local.deployed_queues["inbox"].url
    TTC_CHUNK_QUEUE_URL = local.deployed_queues["chunks"].url
    TTC_TILE_INDEX      = "s3://${local.control_bucket}/${local.tile_index_key}"
    TTC_DEFAULT_DEST    = local.default_dest
    TTC_ALLOWED_DESTS   = jsonencode(local.dests)
    TTC_DEST_REGION     = local.home
  }
  given_names = [
    "TTC_TABLE", "TTC_TABLE_REGION", "TTC_QUEUES", "TTC_CONTROL_BUCKET", "TTC_CONTROL_REGION", "TTC_INBOX_QUEUE_URL",
    "TTC_CHUNK_QUEUE_URL", "TTC_TILE_INDEX", "TTC_DEFAULT_DEST", "TTC_ALLOWED_DESTS", "TTC_DEST_REGION",
    "TTC_GIT_SHA", "TTC_S1_SUBSCRIPTION_KEY_SECRET",
  ]
  # What a person's tools are told.
  tool_environment = merge(local.control_environment, {
    for name, value in var.settings : name => value
    if contains(flatten([for key, function in local.functions : function.environment if !contains(keys(local.workers), key)]), name)
  })
  # Of these, a function is told what its own list names, and a worker of its own queue only.
  environment = merge(
    local.control_environment,
    {
      TTC_GIT_SHA                    = coalesce(var.git_sha, var.image_tag)
      TTC_S1_SUBSCRIPTION_KEY_SECRET = module.control.s1_subscription_key_arn
    },
    var.settings,
  )
  environments = {
    for name, function in local.functions : name => merge(
      { for variable in function.environment : variable => local.environment[variable] if contains(keys(local.environment), variable) },
      contains(keys(local.workers), name) ? { TTC_QUEUES = jsonencode({ (function.queue) = local.product_queues[function.queue] }) } : {},
    )
  }
}

module "control" {
  source    = "./modules/control"
  providers = { aws = aws.usw2 }

  name            = local.name
  control_bucket  = local.control_bucket
  outputs_bucket  = local.outputs_bucket
  table           = local.table
  inbox_queue_arn = module.usw2.queues["inbox"].arn
  disposable      = var.disposable
}

module "euc1" {
  source    = "./modules/region"
  providers = { aws = aws.euc1 }

  name               = local.name
  region             = "eu-central-1"
  account            = local.account
  partition          = local.partition
  queues             = { for name, queue in local.queues : name => queue if queue.region == "eu-central-1" }
  functions          = { for name, function in local.functions : name => function if function.region == "eu-central-1" }
  workers            = keys(local.workers)
  environments       = local.environments
  permissions        = local.permissions
  image_tag          = var.image_tag
  functions_enabled  = var.functions_enabled
  disposable         = var.disposable
  alarm_emails       = var.alarm_emails
  log_retention_days = var.log_retention_days
}

module "usw2" {
  source    = "./modules/region"
  providers = { aws = aws.usw2 }

  name               = local.name
  region             = "us-west-2"
  account            = local.account
  partition          = local.partition
  queues             = { for name, queue in local.queues : name => queue if queue.region == "us-west-2" }
  functions          = { for name, function in local.functions : name => function if function.region == "us-west-2" }
  workers            = keys(local.workers)
  environments       = local.environments
  permissions        = local.permissions
  image_tag          = var.image_tag
  functions_enabled  = var.functions_enabled
  disposable         = var.disposable
  alarm_emails       = var.alarm_emails
  log_retention_days = var.log_retention_days
}
