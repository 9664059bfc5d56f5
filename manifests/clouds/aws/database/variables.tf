variable "name" {
  description = "Name of the network and of the database's server."
  type        = string
  default     = "hello"
}

variable "instance_class" {
  description = "Machine type of the database's server."
  type        = string
  default     = "db.t4g.small"
}

variable "owner_password" {
  description = "Password of the owner's role. `openssl rand -hex 24` makes one."
  type        = string
  sensitive   = true

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{24,}$", var.owner_password))
    error_message = "Use at least 24 letters, digits, - and _, which need no escaping in a URI."
  }
}

variable "deletion_protection" {
  description = "Whether the server cannot be destroyed. Set it to false, apply, and destroy then."
  type        = bool
  default     = true
}
