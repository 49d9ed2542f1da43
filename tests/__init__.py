"""Tests of the router, in the packages of the product that they test."""
