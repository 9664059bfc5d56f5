# RDS for PostgreSQL in two zones, in a network of its own.

terraform {
  required_version = ">= 1.6"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0"
    }
  }
}

data "aws_availability_zones" "here" {
  state = "available"
}

locals {
  zones = slice(data.aws_availability_zones.here.names, 0, 3)
}

resource "aws_vpc" "hello" {
  cidr_block           = "10.20.0.0/16"
  enable_dns_hostnames = true
  tags                 = { Name = var.name }
}

# Load balancers are here.
resource "aws_subnet" "public" {
  count                   = length(local.zones)
  vpc_id                  = aws_vpc.hello.id
  availability_zone       = local.zones[count.index]
  cidr_block              = cidrsubnet(aws_vpc.hello.cidr_block, 4, count.index)
  map_public_ip_on_launch = true
  tags                    = { Name = "${var.name}-public-${count.index}", "kubernetes.io/role/elb" = "1" }
}

# Everything else is here.
resource "aws_subnet" "private" {
  count             = length(local.zones)
  vpc_id            = aws_vpc.hello.id
  availability_zone = local.zones[count.index]
  cidr_block        = cidrsubnet(aws_vpc.hello.cidr_block, 4, 8 + count.index)
  tags              = { Name = "${var.name}-private-${count.index}", "kubernetes.io/role/internal-elb" = "1" }
}

resource "aws_internet_gateway" "hello" {
  vpc_id = aws_vpc.hello.id
  tags   = { Name = var.name }
}

resource "aws_eip" "nat" {
  domain = "vpc"
  tags   = { Name = "${var.name}-nat" }
}

# One, in one zone: while that zone is away, no image is pulled and no token is checked with its issuer, and all else goes on.
resource "aws_nat_gateway" "hello" {
  allocation_id = aws_eip.nat.id
  subnet_id     = aws_subnet.public[0].id
  tags          = { Name = var.name }
  depends_on    = [aws_internet_gateway.hello]
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.hello.id
  tags   = { Name = "${var.name}-public" }
}

resource "aws_route" "public" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.hello.id
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.hello.id
  tags   = { Name = "${var.name}-private" }
}

resource "aws_route" "private" {
  route_table_id         = aws_route_table.private.id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.hello.id
}

resource "aws_route_table_association" "public" {
  count          = length(local.zones)
  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public.id
}

resource "aws_route_table_association" "private" {
  count          = length(local.zones)
  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private.id
}

resource "aws_db_subnet_group" "hello" {
  name       = var.name
  subnet_ids = aws_subnet.private[*].id
}

resource "aws_security_group" "database" {
  name        = "${var.name}-database"
  description = "The database, for the network that it is in"
  vpc_id      = aws_vpc.hello.id
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  security_group_id = aws_security_group.database.id
  cidr_ipv4         = aws_vpc.hello.cidr_block
  ip_protocol       = "tcp"
  from_port         = 5432
  to_port           = 5432
}

# The owner of the schema: it migrates, and makes the roles of the application and of the backups.
resource "aws_db_instance" "hello" {
  identifier                = var.name
  engine                    = "postgres"
  engine_version            = "18"
  instance_class            = var.instance_class
  allocated_storage         = 20
  max_allocated_storage     = 200
  storage_type              = "gp3"
  storage_encrypted         = true
  multi_az                  = true
  db_name                   = "hello"
  username                  = "hello_owner"
  password                  = var.owner_password
  db_subnet_group_name      = aws_db_subnet_group.hello.name
  vpc_security_group_ids    = [aws_security_group.database.id]
  publicly_accessible       = false
  backup_retention_period   = 7
  copy_tags_to_snapshot     = true
  deletion_protection       = var.deletion_protection
  skip_final_snapshot       = false
  final_snapshot_identifier = "${var.name}-final"
}
