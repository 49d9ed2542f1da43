"""Tests of the data plane without sockets: parsers as laws, connections on scripted transports."""
