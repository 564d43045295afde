#include <algorithm>
#include "core/base/strings.h"
#include "core/text/base64.h"
#include "core/text/yaml.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/patch.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/server/rest.h"
#include "embedded-kube-shim/server/scale.h"
#include "embedded-kube-shim/server/virtual.h"

// Create, update, patch and delete: from a request to an operation, from its outcome to an answer.
#include "embedded-kube-shim/server/write_steps.h"

namespace skerry::kube {
namespace {

json::Value DeletedStatus(const Target& target, const Item& item) {
  auto status = json::Value::Object();
  status.Set("kind") = "Status";
  status.Set("apiVersion") = "v1";
  status.Set("metadata") = json::Value::Object();
  status.Set("status") = "Success";
  auto& details = status.Set("details");
  details.Set("name") = item.name();
  if (!target.def->group.empty()) details.Set("group") = target.def->group;
  details.Set("kind") = target.def->resource;
  if (!item.uid().empty()) details.Set("uid") = item.uid();
  return status;
}

Error UnsupportedPatch(const ResourceDef& def) {
  auto detail = std::make_shared<StatusDetail>();
  detail->http = 415;
  detail->reason = "UnsupportedMediaType";
  if (def.custom)
    return Error(Code::kUnsupported, "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml")
        .WithAttachment(std::move(detail));
  detail->has_details = true;
  return Error(Code::kUnsupported, "415: Unsupported Media Type").WithAttachment(std::move(detail));
}

// The status endpoints of some kinds know no tables.
Result<Output> NegotiateWrite(const RestRequest& request) {
  const auto& resource = request.target.def->resource;
  const bool plain = !request.target.def->custom && request.target.subresource == "status" &&
                     (resource == "apiservices" || resource == "customresourcedefinitions" || resource == "resourceclaims");
  return Negotiate(*request.http, plain ? MediaScope::kReview : MediaScope::kObject, WireOf(request.target));
}

}  // namespace

Result<PatchBody> ParsePatchBody(const RestRequest& request) {
  const auto media = ParseMediaType(request.http->Get("Content-Type"));
  PatchBody body;
  body.text = request.http->body;
  if (media.type == "application/json-patch+json") body.type = PatchType::kJson;
  else if (media.type == "application/merge-patch+json") body.type = PatchType::kMerge;
  else if (media.type == "application/strategic-merge-patch+json" && !request.target.def->custom) body.type = PatchType::kStrategic;
  else if (media.type == "application/apply-patch+yaml") body.type = PatchType::kApply, body.yaml = true;
  else return std::unexpected(UnsupportedPatch(*request.target.def));
  return body;
}

Result<json::Value> ReadBody(const RestRequest& request, SchemaPtr schema, const GroupVersionKind& expected, FieldValidation validation, std::vector<std::string>& warnings, bool* resets_managed) {
  TRY(const auto encoding, RequestEncoding(*request.http, WireOf(request.target)));
  TRY(auto decoded, DecodeBody(expected, schema, encoding, request.http->body));
  auto& gvk = decoded.gvk;
  if (request.target.def->custom && schema == request.target.schema_version().schema && (gvk.group != expected.group || gvk.version != expected.version))
    return std::unexpected(BadRequestError(Cat("the API version in the data (", gvk.api_version(), ") does not match the expected API version (", expected.api_version(), ")")));
  if (gvk.version.empty() && gvk.group.empty()) gvk.version = expected.version, gvk.group = expected.group;   // what is not said is as expected
  if (!request.target.def->custom && !gvk.kind.empty() && (gvk.kind != expected.kind || gvk.version != expected.version || gvk.group != expected.group)) {
    if (gvk.kind == expected.kind)
      return std::unexpected(BadRequestError(Cat("the API version in the data (", gvk.api_version(), ") does not match the expected API version (", expected.api_version(), ")")));
    return std::unexpected(BadRequestError(Cat(gvk.kind, " in version \"", gvk.version, "\" cannot be handled as a ", expected.kind, ": converting (", gvk.version, ".", gvk.kind, ") to (",
                                               expected.group.empty() ? std::string("core") : expected.group.substr(0, expected.group.find('.')), ".", expected.kind, "): unknown conversion")));
  }
  if (!decoded.strict_errors.empty()) {
    if (validation == FieldValidation::kStrict) return std::unexpected(StrictDecodingError(expected, decoded));
    if (validation == FieldValidation::kWarn)
      for (const auto& error : decoded.strict_errors) warnings.push_back(error);
  }
  if (resets_managed) *resets_managed = false;
  auto object = std::move(decoded.object);
  if (request.target.def->custom && schema == request.target.schema_version().schema) return object;   // its kind is judged with the rest
  object.Set("kind") = expected.kind;
  object.Set("apiVersion") = expected.api_version();
  return object;
}

void RecordReviewFields(const Engine& engine, const RestRequest& request, const WriteOptions& options, SchemaPtr schema, std::string api_version, json::Value& object) {
  auto manager = options.field_manager;
  if (manager.empty()) manager = request.caller.user_agent.substr(0, std::min<std::size_t>(request.caller.user_agent.find('/'), 128));
  object.Set("metadata").Erase("managedFields");
  UpdateManagedFields(*request.target.def, schema, nullptr, object, {std::move(manager), std::move(api_version), request.target.subresource, engine.now(), false, {}});
}

Result<WriteOptions> ParseWriteOptions(const http::Request& request, std::string_view options_kind) {
  WriteOptions options;
  FieldErrors errors;
  std::vector<std::string> dry_run;
  for (const auto value : request.QueryAll("dryRun"))
    if (!value.empty()) dry_run.emplace_back(value);
  if (std::ranges::any_of(dry_run, [](const std::string& value) { return value != "All"; })) {
    auto shown = json::Value::Array();
    for (const auto& value : dry_run) shown.Append(value);
    errors.push_back({FieldErrorType::kNotSupported, "dryRun", shown.Dump(), "supported values: \"All\""});
  }
  options.dry_run = !dry_run.empty();
  options.field_manager = request.Query("fieldManager");
  if (options.field_manager.size() > 128) errors.push_back({FieldErrorType::kTooLong, "fieldManager", "", "may not be more than 128 bytes"});
  for (std::size_t i = 0; i < options.field_manager.size() && i < 128; ++i) {
    const auto c = static_cast<unsigned char>(options.field_manager[i]);
    if (c < 0x20 || c == 0x7f) {
      errors.push_back({FieldErrorType::kInvalid, "fieldManager", Quote(options.field_manager), Cat("invalid character U+00", text::Hex(std::string(1, static_cast<char>(c))), " (at position ", i, ")")});
      break;
    }
  }
  const auto validation = request.Query("fieldValidation");
  if (validation == "Strict") options.field_validation = FieldValidation::kStrict;
  else if (validation == "Ignore") options.field_validation = FieldValidation::kIgnore;
  else if (!validation.empty() && validation != "Warn")
    errors.push_back({FieldErrorType::kNotSupported, "fieldValidation", Quote(validation), "supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""});
  options.force = QueryFlag(request, "force");
  if (errors.empty()) return options;
  return std::unexpected(InvalidError("meta.k8s.io", options_kind, "", errors));
}

// Options are decoded without the wrapping that bodies of objects get: only the innermost reason is told.
static Error PlainDecodeError(const Error& error) {
  std::string text(error.message());
  for (const std::string_view wrap : {"cannot be handled as a DeleteOptions: ", "the object provided is unrecognized (must be of type DeleteOptions): "})
    if (const auto at = text.find(wrap); at != text.npos) text.erase(0, at + wrap.size());
  if (text.ends_with(')'))
    if (const auto at = text.rfind(" ("); at != text.npos && text.find_first_not_of("0123456789abcdef.", at + 2) == text.size() - 1) text.resize(at);
  return BadRequestError(std::move(text));
}

Result<ServerDeleteOptions> ParseDeleteOptions(const http::Request& request) {
  ServerDeleteOptions options;
  if (!request.body.empty()) {
    TRY(const auto encoding, RequestEncoding(request));
    std::string text = request.body;
    if (encoding == Encoding::kProtobuf) {
      TRY(const auto envelope, ParseProtobufEnvelope(request.body));
      if (envelope.kind == "DeleteOptions") text = ProtobufEnvelope("v1", "DeleteOptions", envelope.message);   // every group registers the same type
    }
    if (json::Value document; encoding == Encoding::kJson && json::Value::Parse(text, &document, nullptr) && document["kind"].Str() == "DeleteOptions") {
      document.Set("apiVersion") = "v1";   // every group registers the same type
      text = document.Dump();
    }
    auto parsed = Decode(FindBuiltinSchema("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"), encoding, text);
    if (!parsed) return std::unexpected(PlainDecodeError(parsed.error()));
    auto& decoded = *parsed;
    if (!decoded.gvk.kind.empty() && decoded.gvk.kind != "DeleteOptions")
      return std::unexpected(BadRequestError(Cat("decoded object cannot be converted to DeleteOptions")));
    const auto& body = decoded.object;
    if (const auto* grace = body.Find("gracePeriodSeconds"); grace && grace->is_int()) options.grace_seconds = grace->Int();
    if (const auto* orphan = body.Find("orphanDependents"); orphan && orphan->is_bool()) options.orphan_dependents = orphan->Bool();
    if (const auto* policy = body.Find("propagationPolicy"); policy && policy->is_string()) options.propagation = policy->Str();
    const auto& preconditions = body["preconditions"];
    if (const auto* uid = preconditions.Find("uid"); uid && uid->is_string()) options.uid = uid->Str();
    if (const auto* version = preconditions.Find("resourceVersion"); version && version->is_string()) options.resource_version = version->Str();
    for (const auto& value : body["dryRun"].Items()) options.dry_run.emplace_back(value.Str());
  } else {
    if (const auto grace = request.Query("gracePeriodSeconds"); !grace.empty()) {
      TRY(options.grace_seconds, ParseGoInt(grace));
    }
    if (request.HasQuery("orphanDependents")) options.orphan_dependents = QueryFlag(request, "orphanDependents");
    if (const auto policy = request.Query("propagationPolicy"); !policy.empty()) options.propagation = policy;
    for (const auto value : request.QueryAll("dryRun"))
      if (!value.empty()) options.dry_run.emplace_back(value);
  }
  TRY_VOID(ValidateDeleteOptions(options));
  return options;
}

void Rest::Run(std::shared_ptr<RestRequest> request, Output output, std::unique_ptr<WriteOperation> operation, int status, RestDone done) {
  operation->caller = request->caller;
  const auto ctx = request->ctx;
  auto failed = std::make_shared<std::vector<std::string>>();
  operation->failed_warnings = failed;
  engine_.Run(ctx, std::move(operation), [this, request, failed, output = std::move(output), status, done = std::move(done)](Result<Written> written) mutable {
    if (!written) {
      if (failed->empty()) return done(std::unexpected(std::move(written).error()));
      auto response = EncodeError(*request->http, written.error());
      AddWarnings(response.headers, *failed);
      return done(http::Reply(std::move(response)));
    }
    auto respond = [&]() -> Result<http::Reply> {
      if (written->as_status) {
        auto response = EncodeValue(output, 200, DeletedStatus(request->target, *written->item));
        AddWarnings(response.headers, written->warnings);
        return http::Reply(std::move(response));
      }
      const int code = written->created ? 201 : status;
      if (written->answer) {
        auto response = EncodeValue(output, code, *written->answer);
        AddWarnings(response.headers, written->warnings);
        return http::Reply(std::move(response));
      }
      Result<> include;
      const auto encoder = EncoderFor(engine_, *request, output, &include);
      TRY_VOID(std::move(include));
      TRY(auto response, encoder.One(code, written->item));
      AddWarnings(response.headers, written->warnings);
      return http::Reply(std::move(response));
    };
    done(respond());
  });
}

void Rest::Create(RestRequest received, RestDone done) {
  const auto shared = std::make_shared<RestRequest>(std::move(received));
  const RestRequest& request = *shared;
  auto prepare = [&]() -> Result<std::pair<Output, std::unique_ptr<WriteOperation>>> {
    TRY(auto output, Negotiate(*request.http, MediaScope::kObject, WireOf(request.target)));
    TRY(auto options, ParseWriteOptions(*request.http, "CreateOptions"));
    const auto read = [validation = options.field_validation](const RestRequest& from, std::vector<std::string>& told) {
      return ReadBody(from, from.target.schema_version().schema, from.target.gvk(), validation, told);
    };
    std::vector<std::string> warnings;
    TRY(auto object, read(request, warnings));
    auto operation = NewCreate(request.target, std::move(object), [shared, read] {
      std::vector<std::string> told_before;
      auto again = read(*shared, told_before);
      return again ? std::move(*again) : json::Value::Object();   // what could be read once can be read again
    });
    operation->options = std::move(options);
    operation->decode_warnings = std::move(warnings);
    return std::pair(std::move(output), std::move(operation));
  };
  auto prepared = prepare();
  if (!prepared) return done(std::unexpected(std::move(prepared).error()));
  Run(shared, std::move(prepared->first), std::move(prepared->second), 201, std::move(done));
}

void Rest::Update(RestRequest received, RestDone done) {
  const auto shared = std::make_shared<RestRequest>(std::move(received));
  const RestRequest& request = *shared;
  auto prepare = [&]() -> Result<std::pair<Output, std::unique_ptr<WriteOperation>>> {
    TRY(auto output, NegotiateWrite(request));
    TRY(auto options, ParseWriteOptions(*request.http, "UpdateOptions"));
    std::vector<std::string> warnings;
    TRY(auto object, ReadBody(request, request.target.schema_version().schema, request.target.gvk(), options.field_validation, warnings));
    const auto name = object.At({"metadata", "name"}).Str();
    if (name != request.target.name)
      return std::unexpected(BadRequestError(name.empty() ? NamelessText(request.target.name)
                                                          : Cat("the name of the object (", name, ") does not match the name on the URL (", request.target.name, ")")));
    auto operation = NewUpdate(request.target, std::move(object), [shared, validation = options.field_validation] {
      std::vector<std::string> told_before;
      auto again = ReadBody(*shared, shared->target.schema_version().schema, shared->target.gvk(), validation, told_before);
      return again ? std::move(*again) : json::Value::Object();   // what could be read once can be read again
    });
    operation->options = std::move(options);
    operation->decode_warnings = std::move(warnings);
    return std::pair(std::move(output), std::move(operation));
  };
  auto prepared = prepare();
  if (!prepared) return done(std::unexpected(std::move(prepared).error()));
  Run(shared, std::move(prepared->first), std::move(prepared->second), 200, std::move(done));
}

void Rest::Patch(RestRequest request, RestDone done) {
  auto prepare = [&]() -> Result<std::pair<Output, std::unique_ptr<WriteOperation>>> {
    TRY(auto body, ParsePatchBody(request));
    TRY(auto output, NegotiateWrite(request));
    TRY(auto options, ParseWriteOptions(*request.http, "PatchOptions"));
    FieldErrors errors;
    if (body.type == PatchType::kApply) {
      if (options.field_manager.empty()) errors.push_back({FieldErrorType::kRequired, "fieldManager", "", "is required for apply patch"});
    } else if (request.http->HasQuery("force")) {
      errors.push_back({FieldErrorType::kForbidden, "force", "", "may not be specified for non-apply patch"});
    }
    if (!errors.empty()) return std::unexpected(InvalidError("meta.k8s.io", "PatchOptions", "", errors));
    auto operation = NewPatch(request.target, std::move(body));
    operation->options = std::move(options);
    return std::pair(std::move(output), std::move(operation));
  };
  auto prepared = prepare();
  if (!prepared) return done(std::unexpected(std::move(prepared).error()));
  Run(std::make_shared<RestRequest>(std::move(request)), std::move(prepared->first), std::move(prepared->second), 200, std::move(done));
}

void Rest::Delete(RestRequest request, RestDone done) {
  auto prepare = [&]() -> Result<std::pair<Output, std::unique_ptr<WriteOperation>>> {
    TRY(auto output, Negotiate(*request.http, MediaScope::kObject, WireOf(request.target)));
    TRY(auto options, ParseDeleteOptions(*request.http));
    const bool dry_run = !options.dry_run.empty();
    auto operation = NewServerDelete(request.target, std::move(options));
    operation->options.dry_run = dry_run;
    return std::pair(std::move(output), std::move(operation));
  };
  auto prepared = prepare();
  if (!prepared) return done(std::unexpected(std::move(prepared).error()));
  Run(std::make_shared<RestRequest>(std::move(request)), std::move(prepared->first), std::move(prepared->second), 200, std::move(done));
}

void Rest::Serve(RestRequest request, RestDone done) {
  const auto verb = request.info.verb;
  if (request.target.def->custom && request.info.subresource == "scale") return ServeScale(*this, std::move(request), std::move(done));
  if (IsVirtual(request)) return ServeVirtual(*this, std::move(request), std::move(done));
  if (verb == "get") return done(Get(request));
  if (verb == "list") return done(List(request));
  if (verb == "watch") return done(Watch(request));
  if (verb == "create") return Create(std::move(request), std::move(done));
  if (verb == "update") return Update(std::move(request), std::move(done));
  if (verb == "patch") return Patch(std::move(request), std::move(done));
  if (verb == "delete") return Delete(std::move(request), std::move(done));
  if (verb == "deletecollection") return DeleteCollection(std::move(request), std::move(done));
  done(std::unexpected(MethodNotAllowedError()));
}

}  // namespace skerry::kube
