# A cluster of EKS beside RDS, and a bucket for backups to which their pods alone have access.

terraform {
  required_version = ">= 1.6"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0"
    }
  }
}

provider "aws" {
  region = var.region
}

module "database" {
  source              = "../database"
  owner_password      = var.owner_password
  deletion_protection = var.deletion_protection
}

locals {
  # Who may take on a role: EKS itself, and its machines.
  trusted = { cluster = "eks.amazonaws.com", node = "ec2.amazonaws.com" }
  policies = {
    cluster = ["AmazonEKSClusterPolicy", "AmazonEKSComputePolicy", "AmazonEKSBlockStoragePolicy", "AmazonEKSLoadBalancingPolicy", "AmazonEKSNetworkingPolicy"]
    node    = ["AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly"]
  }
  grants = merge([for role, names in local.policies : { for name in names : "${role}/${name}" => { role = role, name = name } }]...)
}

resource "aws_iam_role" "parts" {
  for_each = local.trusted
  name     = "hello-${each.key}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = each.value }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
    }]
  })
}

resource "aws_iam_role_policy_attachment" "parts" {
  for_each   = local.grants
  role       = aws_iam_role.parts[each.value.role].name
  policy_arn = "arn:aws:iam::aws:policy/${each.value.name}"
}

# Auto Mode: AWS runs the machines, their storage class and the load balancers.
resource "aws_eks_cluster" "hello" {
  name                          = "hello"
  role_arn                      = aws_iam_role.parts["cluster"].arn
  bootstrap_self_managed_addons = false
  depends_on                    = [aws_iam_role_policy_attachment.parts]

  access_config {
    authentication_mode                         = "API"
    bootstrap_cluster_creator_admin_permissions = true
  }

  compute_config {
    enabled       = true
    node_pools    = ["general-purpose", "system"]
    node_role_arn = aws_iam_role.parts["node"].arn
  }

  kubernetes_network_config {
    elastic_load_balancing {
      enabled = true
    }
  }

  storage_config {
    block_storage {
      enabled = true
    }
  }

  vpc_config {
    subnet_ids              = module.database.private_subnets
    endpoint_private_access = true
    endpoint_public_access  = true
  }
}
