output "s1_subscription_key_arn" {
  description = "The secret of Sentinel-1's token endpoint."
  value       = aws_secretsmanager_secret.s1_subscription_key.arn
}
