output "environment" {
  description = "What the producer and tracker commands are told of this deployment, by the names of their variables."
  value       = local.tool_environment

  precondition {
    condition = alltrue([
      for place in concat(values(local.list.queues), local.list.functions) : contains(["eu-central-1", "us-west-2"], place.region)
    ]) && local.home == "us-west-2"
    error_message = "A region of functions.json has no provider: add one to providers.tf, and a module to main.tf."
  }
}

output "exports" {
  description = "The same for a shell: eval \"$(terraform output -raw exports)\"."
  value = join("", [
    for name, value in local.tool_environment : "export ${name}='${replace(value, "'", "'\\''")}'\n"
  ])
}

output "repositories" {
  description = "Where the image is pushed to, by region."
  value       = { eu-central-1 = module.euc1.repository_url, us-west-2 = module.usw2.repository_url }
}

output "functions" {
  description = "Names of the functions, with the queue that feeds each."
  value = {
    for name, function in local.functions : name => {
      name      = "${local.name}-${name}"
      region    = function.region
      queue_url = try(local.deployed_queues[function.queue].url, null)
    }
  }
}

output "alarm_topics" {
  description = "What to subscribe to, by region."
  value       = { eu-central-1 = module.euc1.alarm_topic_arn, us-west-2 = module.usw2.alarm_topic_arn }
}

output "s1_subscription_key_secret" {
  description = "ARN of the secret that keeps the key to Sentinel-1's token endpoint; its value is put there by a person."
  value       = module.control.s1_subscription_key_arn
}

output "dashboard" {
  description = "Name of the dashboard, in the home region."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}
