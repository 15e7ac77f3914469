# Where the state lies is a fact of the account, and is given once:
#   terraform init -backend-config=bucket=... -backend-config=key=ttc-dev.tfstate -backend-config=region=...
terraform {
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}
