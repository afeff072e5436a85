#!/bin/sh
# Makes `services.binpb`, the one file that is read at run time, of the .proto files beside this script.
# Run it where grpcio-tools is installed, after a .proto file has changed.
set -eu
cd "$(dirname "$0")"
exec "${PYTHON:-python}" -m grpc_tools.protoc --proto_path=. --include_imports --descriptor_set_out=services.binpb \
    health.proto inference.proto tensorflow_serving.proto
