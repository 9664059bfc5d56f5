# The app alone on ECS with Fargate, with RDS, a task for migrations, and a load balancer.
# `deploy` brings the next versions: migrate, then replace the tasks one after another, with a way back.

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

# ECS hands secrets over as variables only, and the password of a second role has to be in a file: the app is the owner here.
# The image does not have RDS' authorities: the connection is encrypted, and the server's certificate is not compared.
resource "aws_secretsmanager_secret" "database_url" {
  name = "hello/database-url"
}

resource "aws_secretsmanager_secret_version" "database_url" {
  secret_id     = aws_secretsmanager_secret.database_url.id
  secret_string = replace(module.database.owner_url, "sslmode=verify-full", "sslmode=require")
}

# What ECS itself needs to start a task: the image, the log, the secret. The program has no rights of its own.
resource "aws_iam_role" "start" {
  name = "hello-start"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy_attachment" "start" {
  role       = aws_iam_role.start.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

resource "aws_iam_role_policy" "secret" {
  name = "database-url"
  role = aws_iam_role.start.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "secretsmanager:GetSecretValue"
      Resource = aws_secretsmanager_secret.database_url.arn
    }]
  })
}

resource "aws_cloudwatch_log_group" "hello" {
  name              = "/hello"
  retention_in_days = 30
}

resource "aws_ecs_cluster" "hello" {
  name = "hello"
}

locals {
  # The two tasks differ in the command alone.
  container = {
    name                   = "hello"
    image                  = var.image
    essential              = true
    readonlyRootFilesystem = true
    secrets                = [{ name = "DATABASE_URL", valueFrom = aws_secretsmanager_secret.database_url.arn }]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.hello.name
        awslogs-region        = var.region
        awslogs-stream-prefix = "hello"
      }
    }
  }
  commands = {
    serve = {
      command      = ["serve"]
      portMappings = [{ containerPort = 8080 }, { containerPort = 9090 }]
      # The load balancer stops sending requests before the program stops.
      stopTimeout = 60
      healthCheck = { command = ["CMD", "/hello-app", "healthcheck"], interval = 10, retries = 3, startPeriod = 60 }
    }
    migrate = { command = ["migrate"] }
  }
}

# `deploy` makes the next revisions of both.
resource "aws_ecs_task_definition" "hello" {
  for_each                 = toset(["serve", "migrate"])
  family                   = "hello-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = "512"
  memory                   = "1024"
  execution_role_arn       = aws_iam_role.start.arn
  container_definitions    = jsonencode([merge(local.container, local.commands[each.key])])

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }
}

resource "aws_ecs_service" "hello" {
  name                               = "hello"
  cluster                            = aws_ecs_cluster.hello.id
  task_definition                    = aws_ecs_task_definition.hello["serve"].arn
  launch_type                        = "FARGATE"
  desired_count                      = 2
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 60
  depends_on                         = [aws_lb_listener.https]

  network_configuration {
    subnets         = module.database.private_subnets
    security_groups = [aws_security_group.app.id]
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.hello.arn
    container_name   = "hello"
    container_port   = 8080
  }

  # A version that does not get ready is replaced by the former one.
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  # Versions are `deploy`'s, the number is the autoscaler's.
  lifecycle {
    ignore_changes = [task_definition, desired_count]
  }
}

resource "aws_appautoscaling_target" "hello" {
  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.hello.name}/${aws_ecs_service.hello.name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = 2
  max_capacity       = var.max_tasks
}

resource "aws_appautoscaling_policy" "cpu" {
  name               = "cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.hello.service_namespace
  resource_id        = aws_appautoscaling_target.hello.resource_id
  scalable_dimension = aws_appautoscaling_target.hello.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value = 50

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}
