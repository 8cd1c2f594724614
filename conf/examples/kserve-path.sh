#!/bin/bash
#
# The group "credit-risk" for kserve-path.conf: three models of one server share
# the requests 80, 15 and 5.

set -eu
. "$(dirname "$0")/api.sh"

# the protocol says how a key travels; requests are passed on as they are

provider triton '{
    "name": "Triton",
    "base_url": "'"${TRITON:-http://10.0.0.21:8000}"'",
    "timeouts": {"connect_ms": 500, "read_ms": 2000}}'

for name in logistic gradient-boosting transformer; do
    model "triton/credit-$name" '{
        "name": "Credit risk, '"$name"'", "type": "tabular"}'
done

group credit-risk '{
    "description": "Probability of default", "strategy": "weighted",
    "status": "active",
    "traffic_config": {"records": {"retention_days": 730, "archive": true,
        "request_body": true, "response_body": true, "max_bytes": 32768}}}'

members credit-risk '[
    {"model_id": "triton/credit-logistic", "role": "champion",
     "traffic_percentage": 80},
    {"model_id": "triton/credit-gradient-boosting", "role": "challenger",
     "traffic_percentage": 15},
    {"model_id": "triton/credit-transformer", "role": "challenger",
     "traffic_percentage": 5}]'
