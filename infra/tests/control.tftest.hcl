# Buckets, table and secret.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name            = "ttc-test"
  control_bucket  = "ttc-test-control"
  outputs_bucket  = "ttc-test-outputs"
  table           = "ttc-test-status"
  inbox_queue_arn = "arn:aws:sqs:us-west-2:123456789012:ttc-test-inbox"
  disposable      = false
}

run "control" {
  command = apply

  module {
    source = "./modules/control"
  }

  assert {
    condition = alltrue([
      aws_dynamodb_table.status.billing_mode == "PAY_PER_REQUEST",
      aws_dynamodb_table.status.deletion_protection_enabled,
      aws_dynamodb_table.status.point_in_time_recovery[0].enabled,
    ])
    error_message = "The table is to be paid on demand, protected and restorable."
  }
  assert {
    condition     = one(aws_s3_bucket_notification.requests.queue).filter_prefix == "requests/" && one(aws_s3_bucket_notification.requests.queue).filter_suffix == ".json"
    error_message = "Only requests are to be told to the inbox: a receipt that was would go round in circles."
  }
  assert {
    condition     = aws_secretsmanager_secret.s1_subscription_key.recovery_window_in_days == 30
    error_message = "A secret is not to be gone at once."
  }
}

run "disposable" {
  command = apply

  module {
    source = "./modules/control"
  }
  variables {
    disposable = true
  }

  assert {
    condition     = !aws_dynamodb_table.status.deletion_protection_enabled && aws_secretsmanager_secret.s1_subscription_key.recovery_window_in_days == 0
    error_message = "What is disposable is to go without a word."
  }
}

run "bucket" {
  command = apply

  module {
    source = "./modules/bucket"
  }
  variables {
    name          = "ttc-test-control"
    replaced_days = 90
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls,
      aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls,
      aws_s3_bucket_public_access_block.this.restrict_public_buckets,
      aws_s3_bucket_ownership_controls.this.rule[0].object_ownership == "BucketOwnerEnforced",
    ])
    error_message = "A bucket is to be private."
  }
  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "AES256" && aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled"
    error_message = "A bucket is to be encrypted and versioned."
  }
  assert {
    condition     = jsondecode(aws_s3_bucket_policy.this.policy).Statement[0].Condition.Bool["aws:SecureTransport"] == "false"
    error_message = "A bucket is to refuse what does not come over TLS."
  }
  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.this.rule[0].noncurrent_version_expiration[0].noncurrent_days == 90 && aws_s3_bucket_lifecycle_configuration.this.rule[0].expiration[0].expired_object_delete_marker
    error_message = "Only what was replaced is to expire."
  }
  assert {
    condition     = !aws_s3_bucket.this.force_destroy
    error_message = "A bucket that holds something is not to be destroyed."
  }
}
