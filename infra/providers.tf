# One provider per region of functions.json; its home region is usw2's.
provider "aws" {
  alias  = "euc1"
  region = "eu-central-1"

  default_tags {
    tags = local.tags
  }
}

provider "aws" {
  alias  = "usw2"
  region = "us-west-2"

  default_tags {
    tags = local.tags
  }
}
