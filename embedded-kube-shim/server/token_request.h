#pragma once
#include "embedded-kube-shim/auth/service_account.h"
#include "embedded-kube-shim/server/rest.h"

namespace skerry::kube {

// serviceaccounts/token on behalf of `user`. `request` is a decoded TokenRequest; the answer is the same object with its token.
Result<json::Value> CreateToken(const Ctx& ctx, const Engine& engine, const ServiceAccountTokens& tokens, const User& user, const Target& account, json::Value request);
void ServeTokenRequest(Rest& rest, RestRequest request, RestDone done);

}  // namespace skerry::kube
