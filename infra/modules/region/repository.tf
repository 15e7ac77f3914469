# A function's image must lie in the function's region. Tags never move: what was deployed can be told from its tag.
resource "aws_ecr_repository" "runtime" {
  name                 = "${var.name}/runtime"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = var.disposable

  image_scanning_configuration {
    scan_on_push = true
  }
  encryption_configuration {
    encryption_type = "AES256"
  }
}

# Lambda fetches the image again whenever it needs to, long after the function was deployed.
resource "aws_ecr_repository_policy" "runtime" {
  repository = aws_ecr_repository.runtime.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "FunctionsOfThisDeployment"
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      Condition = {
        StringLike = { "aws:SourceArn" = "arn:${var.partition}:lambda:${var.region}:${var.account}:function:${var.name}-*" }
      }
    }]
  })
}

resource "aws_ecr_lifecycle_policy" "runtime" {
  repository = aws_ecr_repository.runtime.name

  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "The newest images, to go back to."
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 20 }
      action       = { type = "expire" }
    }]
  })
}
