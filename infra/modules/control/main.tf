module "control_bucket" {
  source = "../bucket"

  name          = var.control_bucket
  replaced_days = 90
  disposable    = var.disposable
}

module "outputs_bucket" {
  source = "../bucket"

  name          = var.outputs_bucket
  replaced_days = 30
  disposable    = var.disposable
}

resource "aws_s3_bucket_notification" "requests" {
  bucket = module.control_bucket.name

  queue {
    id            = "requests"
    queue_arn     = var.inbox_queue_arn
    events        = ["s3:ObjectCreated:*"]
    filter_prefix = "requests/"
    filter_suffix = ".json"
  }
}

# As ard/adapters/table_items.py has it. In one region: the last writer wins in a global table, which would break the
# conditions that every change of a row stands on. Rows have no end of life, so there is no time-to-live attribute.
# DynamoDB encrypts every table, under a key that AWS owns unless another one is named.
resource "aws_dynamodb_table" "status" {
  name         = var.table
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "PK"
  range_key    = "SK"

  deletion_protection_enabled = !var.disposable

  dynamic "attribute" {
    for_each = { PK = "S", SK = "S", updated_at = "N", due = "S", check_after = "N", kind = "S", created_at = "N" }

    content {
      name = attribute.key
      type = attribute.value
    }
  }

  global_secondary_index {
    name               = "activity"
    hash_key           = "PK"
    range_key          = "updated_at"
    projection_type    = "INCLUDE"
    non_key_attributes = ["product", "state", "charged", "seconds", "gb_seconds", "cause", "lease_until"]
  }
  global_secondary_index {
    name            = "due"
    hash_key        = "due"
    range_key       = "check_after"
    projection_type = "KEYS_ONLY"
  }
  global_secondary_index {
    name            = "jobs"
    hash_key        = "kind"
    range_key       = "created_at"
    projection_type = "ALL"
  }

  point_in_time_recovery {
    enabled = true
  }
}

# Its value is put there by a person and read by the worker itself: it is in no state, no plan and no function's
# configuration.
resource "aws_secretsmanager_secret" "s1_subscription_key" {
  name                    = "${var.name}-s1-subscription-key"
  description             = "Key to the token endpoint of the Sentinel-1 source."
  recovery_window_in_days = var.disposable ? 0 : 30
}
