variable "region" {
  description = "Region, such as eu-central-1."
  type        = string
}

variable "image" {
  description = "Image of hello-app, in a registry from which ECS pulls (ECR). Later ones are brought by `deploy`."
  type        = string
}

variable "certificate" {
  description = "ARN of the certificate for the name of the host, issued by AWS Certificate Manager in the region."
  type        = string
}

variable "owner_password" {
  description = "Password of the owner's role in the database. `openssl rand -hex 24` makes one."
  type        = string
  sensitive   = true
}

variable "max_tasks" {
  description = "Most tasks at once. Each has seven connections to the database."
  type        = number
  default     = 10
}

variable "deletion_protection" {
  description = "Whether database and load balancer cannot be destroyed. Set it to false, apply, and destroy then."
  type        = bool
  default     = true
}
