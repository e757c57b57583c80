"""Alipay (OpenAPI)."""
