#!/bin/bash
#
# The group "assistant" for shadow-only.conf.  Both answers to a request are
# kept, without what says who asked.

set -eu
. "$(dirname "$0")/api.sh"

provider server-a '{
    "name": "Server A", "protocol": "openai",
    "base_url": "'"${SERVER_A:-http://10.0.0.11:8000}"'/v1"}'

provider server-b '{
    "name": "Server B", "protocol": "openai",
    "base_url": "'"${SERVER_B:-http://10.0.0.12:8000}"'/v1"}'

model server-a/llama-3.1-8b-instruct '{
    "name": "Llama 3.1 8B", "type": "chat"}'

model server-b/llama-3.3-70b-instruct '{
    "name": "Llama 3.3 70B", "type": "chat"}'

group assistant '{
    "description": "The large one looks over the shoulder of the small one",
    "strategy": "shadow", "status": "active",
    "traffic_config": {
        "shadow": {"percentage": '"${SHADOW_PERCENTAGE:-10}"'},
        "records": {"retention_days": 30, "request_body": true,
                    "response_body": true, "redact": ["user", "metadata"]}}}'

members assistant '[
    {"model_id": "server-a/llama-3.1-8b-instruct", "role": "champion",
     "traffic_percentage": 100},
    {"model_id": "server-b/llama-3.3-70b-instruct", "role": "shadow"}]'
