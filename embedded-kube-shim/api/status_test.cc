#include <catch2/catch.hpp>

#include "embedded-kube-shim/api/status.h"

using namespace skerry;
using namespace skerry::kube;

TEST_CASE("a not-found error becomes upstream's Status") {
  CHECK(StatusObject(NotFoundError("apps", "deployments", "x")).Dump() ==
        R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"deployments.apps \"x\" not found","reason":"NotFound","details":{"name":"x","group":"apps","kind":"deployments"},"code":404})");
}

TEST_CASE("an invalid error lists each distinct text once and each cause as it is") {
  FieldErrors errors;
  errors.push_back({FieldErrorType::kRequired, "spec.a", "", "must be set"});
  errors.push_back({FieldErrorType::kInvalid, "spec.b", "\"x\"", "bad"});
  errors.push_back({FieldErrorType::kRequired, "spec.a", "", "must be set"});
  const Error error = InvalidError("", "Pod", "p", errors);
  CHECK(error.message() == "Pod \"p\" is invalid: [spec.a: Required value: must be set, spec.b: Invalid value: \"x\": bad]");
  const json::Value status = StatusObject(error);
  CHECK(status.At({"details", "causes"}).size() == 3);
  CHECK(status["code"].Int() == 422);
}

TEST_CASE("a Status survives the way through Error and back") {
  const json::Value before = StatusObject(ConflictError("", "pods", "p", "no"));
  CHECK(StatusObject(ErrorFromStatus(before)) == before);
  const json::Value plain = StatusObject(PlainInternalError("boom"));
  CHECK(plain.Find("reason") == nullptr);
  CHECK(StatusObject(ErrorFromStatus(plain)) == plain);
}
