# A load balancer with TLS, and who may reach whom.

resource "aws_security_group" "front" {
  name        = "hello-front"
  description = "The load balancer, for everybody"
  vpc_id      = module.database.vpc
}

resource "aws_security_group" "app" {
  name        = "hello-app"
  description = "The app, for the load balancer"
  vpc_id      = module.database.vpc
}

resource "aws_vpc_security_group_ingress_rule" "front" {
  security_group_id = aws_security_group.front.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

# Requests, and the load balancer's question whether a task is ready.
resource "aws_vpc_security_group_ingress_rule" "app" {
  for_each                     = toset(["8080", "9090"])
  security_group_id            = aws_security_group.app.id
  referenced_security_group_id = aws_security_group.front.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_vpc_security_group_egress_rule" "all" {
  for_each          = { front = aws_security_group.front.id, app = aws_security_group.app.id }
  security_group_id = each.value
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}

resource "aws_lb" "hello" {
  name                       = "hello"
  load_balancer_type         = "application"
  security_groups            = [aws_security_group.front.id]
  subnets                    = module.database.public_subnets
  drop_invalid_header_fields = true
  enable_deletion_protection = var.deletion_protection
}

resource "aws_lb_target_group" "hello" {
  name                 = "hello"
  vpc_id               = module.database.vpc
  target_type          = "ip"
  protocol             = "HTTP"
  port                 = 8080
  deregistration_delay = "30"

  health_check {
    port                = "9090"
    path                = "/readyz"
    interval            = 5
    timeout             = 2
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.hello.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.hello.arn
  }
}
