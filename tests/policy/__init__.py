"""What off-policy evaluation promises."""
