# The whole deployment, from the real functions.json, on providers that only pretend.
mock_provider "aws" {
  alias  = "euc1"
  source = "./tests/mocks"
}

mock_provider "aws" {
  alias  = "usw2"
  source = "./tests/mocks"
}

variables {
  env       = "test"
  image_tag = "0123abc"
}

run "deployment" {
  command = apply

  assert {
    condition     = toset(keys(module.euc1.queues)) == toset(["dem", "s1"])
    error_message = "DEM and Sentinel-1 are to be made in eu-central-1."
  }
  assert {
    condition     = toset(keys(module.usw2.queues)) == toset(["inbox", "chunks", "s2"])
    error_message = "Sentinel-2 is to be made in us-west-2, beside inbox and chunks."
  }
  assert {
    condition     = toset(keys(output.functions)) == toset(local.list.functions[*].name)
    error_message = "Every function of functions.json is to be deployed, and no other."
  }
  assert {
    condition     = length(setsubtract(keys(local.environment), local.given_names)) == 0
    error_message = "given_names is to name every variable that follows from what is deployed."
  }
  assert {
    condition     = keys(jsondecode(output.environment.TTC_QUEUES)) == ["dem", "s1", "s2"]
    error_message = "Tools are to be told of the queues of all products."
  }
  assert {
    condition     = startswith(output.exports, "export TTC_ALLOWED_DESTS='[\"s3://ttc-test-outputs-123456789012/ttc\"]'\nexport TTC_CHUNK_QUEUE_URL=")
    error_message = "Exports are to be lines that a shell takes."
  }
  assert {
    condition = [
      for name, environment in local.environments : name if contains(keys(environment), "TTC_S1_SUBSCRIPTION_KEY_SECRET")
    ] == ["s1"]
    error_message = "The function that needs the key is to be told where it is."
  }
  assert {
    condition = {
      for name, permissions in local.permissions : name => flatten([for p in permissions : p.resources if p.sid == "SubscriptionKey"])
      if anytrue([for p in permissions : contains(p.actions, "secretsmanager:GetSecretValue")])
    } == { s1 = [module.control.s1_subscription_key_arn] }
    error_message = "That function alone is to read the secret, and only that one."
  }
  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets) == 3 * 5 + 3
    error_message = "Three graphs for each of five queues and one for each of three products are to be shown."
  }
}

run "options" {
  command = apply

  variables {
    further_dests = ["s3://tof-output/ard/v1"]
    settings      = { TTC_S2_MOST_DATES = "12", TTC_MAX_COST_USD = "500" }
  }

  assert {
    condition     = contains(jsondecode(output.environment.TTC_ALLOWED_DESTS), "s3://tof-output/ard/v1")
    error_message = "Requests are to be allowed to name the further destination."
  }
  assert {
    condition     = contains(one([for p in local.permissions.s2 : p.resources if p.sid == "Outputs"]), "arn:aws:s3:::tof-output/ard/v1/*")
    error_message = "Workers are to be permitted to write there."
  }
  assert {
    condition     = contains(one([for p in local.permissions.s2 : p.resources if p.sid == "LookAtOutputs"]), "arn:aws:s3:::tof-output")
    error_message = "Workers are to be permitted to see that nothing is there."
  }
  assert {
    condition     = [for name, environment in local.environments : name if lookup(environment, "TTC_S2_MOST_DATES", "") == "12"] == ["s2"]
    error_message = "Settings are for the functions that list them."
  }
  assert {
    condition     = lookup(output.environment, "TTC_MAX_COST_USD", "") == "500" && !contains(keys(output.environment), "TTC_S2_MOST_DATES")
    error_message = "Tools are to be told of settings that functions of theirs list, and of no others."
  }
}

run "odd_names_are_refused" {
  command = plan

  variables {
    env                  = "Test_1"
    image_tag            = "latest"
    further_dests        = ["s3://bucket/prefix/", "folder"]
    settings             = { TTC_TABLE = "another" }
    alarm_emails         = ["nobody"]
    log_retention_days   = 8
    oldest_message_hours = 336
  }

  expect_failures = [
    var.env,
    var.image_tag,
    var.further_dests,
    var.settings,
    var.alarm_emails,
    var.log_retention_days,
    var.oldest_message_hours,
  ]
}

run "unknown_settings_are_refused" {
  command = plan

  variables {
    settings = { TTC_MISSPELT = "1" }
  }

  expect_failures = [var.settings]
}
