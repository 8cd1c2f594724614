#!/bin/bash
#
# The group "assistant" for openai-anthropic.conf.  Keys are read from
# OPENAI_API_KEY and ANTHROPIC_API_KEY and stored sealed.  Prices are USD per
# million tokens: without them the cost of a request is unknown, not zero.

set -eu
. "$(dirname "$0")/api.sh"
: "${OPENAI_API_KEY:?}" "${ANTHROPIC_API_KEY:?}"

provider openai '{
    "name": "OpenAI", "protocol": "openai",
    "base_url": "'"${OPENAI_URL:-https://api.openai.com}"'/v1",
    "api_key": "'"$OPENAI_API_KEY"'"}'

# the address at which Anthropic takes requests in OpenAI's shape; a provider of
# its own, so that "anthropic" stays free for its own shape

provider anthropic-chat '{
    "name": "Anthropic, OpenAI shape", "protocol": "openai",
    "base_url": "'"${ANTHROPIC_URL:-https://api.anthropic.com}"'/v1",
    "api_key": "'"$ANTHROPIC_API_KEY"'"}'

model openai/gpt-4.1 '{
    "name": "GPT-4.1", "type": "chat",
    "pricing": {"input": 2, "output": 8, "cache_read": 0.5}}'

model anthropic-chat/claude-sonnet-4-5 '{
    "name": "Claude Sonnet 4.5", "type": "chat",
    "pricing": {"input": 3, "output": 15, "cache_read": 0.3}}'

group assistant '{
    "description": "Which of the two do people like better?",
    "strategy": "ab_test", "status": "active",
    "test_metadata": {"question": "thumbs up per conversation"},
    "traffic_config": {"records": {"retention_days": 90}}}'

members assistant '[
    {"model_id": "openai/gpt-4.1", "role": "champion",
     "traffic_percentage": 50},
    {"model_id": "anthropic-chat/claude-sonnet-4-5", "role": "challenger",
     "traffic_percentage": 50}]'
