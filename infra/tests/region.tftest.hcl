# One region, with a function that a queue feeds and one that a clock feeds.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name      = "ttc-test"
  region    = "us-west-2"
  account   = "123456789012"
  partition = "aws"
  queues = {
    inbox = { max_receives = 10, retention_seconds = 1209600, visibility_seconds = 360, oldest_seconds = 43200, sender_bucket_arn = "arn:aws:s3:::control" }
    dem   = { max_receives = 100, retention_seconds = 1209600, visibility_seconds = 180, oldest_seconds = 43200 }
  }
  functions = {
    dem   = { handler = "consumers.dem.handler", queue = "dem", memory_mb = 1024, timeout_seconds = 120, max_concurrency = 200, batch_size = 1 }
    sweep = { handler = "tracker.reconcile.handler", schedule_minutes = 15, memory_mb = 512, timeout_seconds = 600, max_concurrency = 1, batch_size = 1 }
  }
  workers            = ["dem"]
  environments       = { dem = { TTC_TABLE = "status" }, sweep = {} }
  permissions        = { dem = [{ sid = "Rows", actions = ["dynamodb:GetItem"], resources = ["arn:aws:dynamodb:::table/status"] }], sweep = [] }
  image_tag          = "0123abc"
  functions_enabled  = true
  disposable         = false
  alarm_emails       = ["somebody@example.org"]
  log_retention_days = 90
}

run "region" {
  command = apply

  module {
    source = "./modules/region"
  }

  assert {
    condition     = alltrue([for queue in concat(values(aws_sqs_queue.work), values(aws_sqs_queue.dead)) : queue.sqs_managed_sse_enabled])
    error_message = "Every queue is to be encrypted."
  }
  assert {
    condition = alltrue([
      for queue in concat(values(aws_sqs_queue.work), values(aws_sqs_queue.dead)) :
      jsondecode(queue.policy).Statement[0].Effect == "Deny" && jsondecode(queue.policy).Statement[0].Condition.Bool["aws:SecureTransport"] == "false"
    ])
    error_message = "Every queue is to refuse what does not come over TLS."
  }
  assert {
    condition     = { for name, queue in aws_sqs_queue.work : name => length(jsondecode(queue.policy).Statement) } == { inbox = 2, dem = 1 }
    error_message = "Only the inbox is to let a bucket send."
  }
  assert {
    condition = alltrue([
      for name, queue in aws_sqs_queue.dead :
      jsondecode(queue.redrive_allow_policy).sourceQueueArns == ["arn:aws:sqs:us-west-2:123456789012:ttc-test-${name}"]
    ])
    error_message = "A dead-letter queue is to take letters of its own queue only."
  }
  assert {
    condition     = jsondecode(aws_sqs_queue.work["dem"].redrive_policy).maxReceiveCount == 100
    error_message = "The queue's number of receives is to be what functions.json says."
  }
  assert {
    condition     = aws_sqs_queue.work["dem"].visibility_timeout_seconds > aws_lambda_function.function["dem"].timeout
    error_message = "AWS refuses a mapping whose queue shows messages again before the function has ended."
  }
  assert {
    condition = alltrue([
      for mapping in aws_lambda_event_source_mapping.queue :
      mapping.enabled && mapping.batch_size == 1 && tolist(mapping.function_response_types) == tolist(["ReportBatchItemFailures"]) && mapping.scaling_config[0].maximum_concurrency == 200
    ])
    error_message = "Mappings are to report failures one by one, and to keep to the function's concurrency."
  }
  assert {
    condition     = aws_lambda_function.function["dem"].image_config[0].command == tolist(["consumers.dem.handler"])
    error_message = "The image's command is to be the function's handler."
  }
  assert {
    condition     = endswith(aws_lambda_function.function["dem"].image_uri, "/runtime:0123abc")
    error_message = "A tag is to follow a colon."
  }
  assert {
    condition     = aws_cloudwatch_event_rule.schedule["sweep"].schedule_expression == "rate(15 minutes)"
    error_message = "The schedule is to be what functions.json says."
  }
  assert {
    condition     = aws_ecr_repository.runtime.image_tag_mutability == "IMMUTABLE" && !aws_ecr_repository.runtime.force_delete
    error_message = "Images are to stay what they are."
  }
  assert {
    condition     = keys(aws_cloudwatch_metric_alarm.dead_letters) == ["dem", "inbox"] && keys(aws_cloudwatch_metric_alarm.oldest_message) == ["dem", "inbox"] && keys(aws_cloudwatch_metric_alarm.no_progress) == ["dem", "inbox"]
    error_message = "Every queue is to have its alarms."
  }
  assert {
    condition     = keys(aws_cloudwatch_metric_alarm.errors) == ["dem", "sweep"] && keys(aws_cloudwatch_metric_alarm.silent) == ["sweep"] && keys(aws_cloudwatch_metric_alarm.refused) == ["dem"]
    error_message = "Every function is to have its alarms."
  }
  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.function : group.retention_in_days == 90])
    error_message = "Logs are to be kept as long as is said."
  }
}

run "brake_stops_queues_and_schedules_and_digest_follows_an_at_sign" {
  command = apply

  module {
    source = "./modules/region"
  }
  variables {
    functions_enabled = false
    image_tag         = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
  }

  assert {
    condition     = strcontains(aws_lambda_function.function["dem"].image_uri, "/runtime@sha256:0")
    error_message = "A digest is to follow an at sign."
  }
  assert {
    condition     = !aws_lambda_event_source_mapping.queue["dem"].enabled && aws_cloudwatch_event_rule.schedule["sweep"].state == "DISABLED"
    error_message = "Nothing is to be fed."
  }
  assert {
    condition     = !aws_cloudwatch_metric_alarm.silent["sweep"].actions_enabled
    error_message = "Nobody is to be told that a stopped function is silent."
  }
}

run "functions_that_lambda_would_refuse_are_refused" {
  command = plan

  module {
    source = "./modules/region"
  }
  variables {
    functions = {
      dem = { handler = "consumers.dem.handler", queue = "dem", memory_mb = 64, timeout_seconds = 901, max_concurrency = 1, batch_size = 1 }
    }
  }

  expect_failures = [var.functions]
}

run "function_without_its_queue_here_is_refused" {
  command = plan

  module {
    source = "./modules/region"
  }
  variables {
    functions = {
      dem = { handler = "consumers.dem.handler", queue = "elsewhere", memory_mb = 1024, timeout_seconds = 120, max_concurrency = 2, batch_size = 1 }
    }
  }

  expect_failures = [var.functions]
}
