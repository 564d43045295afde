#include "embedded-kube-shim/node/environment.h"

#include <algorithm>

#include "core/base/strings.h"
#include "core/text/base64.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

namespace skerry::kube::node {

std::string Expand(std::string_view text, const Mapping& mapping) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    if (text[i + 1] == '$') {
      out += '$';
      ++i;
      continue;
    }
    const std::size_t end = text[i + 1] == '(' ? text.find(')', i + 2) : std::string_view::npos;
    if (end == std::string_view::npos) {
      out += text[i];
      continue;
    }
    const std::string_view name = text.substr(i + 2, end - i - 2);
    if (const auto value = mapping(name)) {
      out += *value;
    } else {
      out.append(text.substr(i, end - i + 1));
    }
    i = end;
  }
  return out;
}

namespace {

void Put(Environment& env, std::string name, std::string value) {
  for (auto& [n, v] : env) {
    if (n == name) {
      v = std::move(value);
      return;
    }
  }
  env.emplace_back(std::move(name), std::move(value));
}

std::string VariableName(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return out;
}

void AddService(Environment& env, const json::Value& service) {
  const std::string_view ip = service["spec"]["clusterIP"].Str();
  const auto ports = service["spec"]["ports"].Items();
  if (ip.empty() || ip == "None" || ports.empty()) return;
  const std::string prefix = VariableName(Name(service));
  Put(env, prefix + "_SERVICE_HOST", std::string(ip));
  Put(env, prefix + "_SERVICE_PORT", std::to_string(ports[0]["port"].Int()));
  for (const json::Value& p : ports) {
    if (!p["name"].Str().empty()) Put(env, Cat(prefix, "_SERVICE_PORT_", VariableName(p["name"].Str())), std::to_string(p["port"].Int()));
  }
  const auto url = [&](const json::Value& p) { return Cat(ToLower(p["protocol"].Str("TCP")), "://", ip, ":", p["port"].Int()); };
  Put(env, prefix + "_PORT", url(ports[0]));
  for (const json::Value& p : ports) {
    const std::string_view protocol = p["protocol"].Str("TCP");
    const std::string base = Cat(prefix, "_PORT_", p["port"].Int(), "_", protocol);
    Put(env, base, url(p));
    Put(env, base + "_PROTO", ToLower(protocol));
    Put(env, base + "_PORT", std::to_string(p["port"].Int()));
    Put(env, base + "_ADDR", std::string(ip));
  }
}

Environment ServiceVariables(const json::Value& pod, const Sources& sources) {
  Environment env;
  const json::Value* links = pod["spec"].Find("enableServiceLinks");
  // The API server is told in every namespace; a service of that name in the pod's own namespace wins.
  if (const ObjectPtr api = sources.services.Get({"default", "kubernetes"})) AddService(env, *api);
  if (!links || links->Bool(true)) {
    for (const ObjectPtr& s : sources.services.List(Namespace(pod))) AddService(env, *s);
  }
  return env;
}

Result<std::string> KeyOfSource(const json::Value& pod, const json::Value& ref, const Lister& lister, std::string_view kind, bool base64, bool* absent) {
  const std::string name(ref["name"].Str()), key(ref["key"].Str());
  const bool optional = ref["optional"].Bool();
  *absent = false;
  const ObjectPtr object = lister.Get({std::string(Namespace(pod)), name});
  if (!object) {
    *absent = optional;
    if (optional) return std::string();
    return Fail(Code::kNotFound, Cat(ToLower(kind), " ", Quote(name), " not found"));
  }
  const json::Value* v = (*object)["data"].Find(key);
  if (!v) {
    *absent = optional;
    if (optional) return std::string();
    return Fail(Code::kNotFound, Cat("couldn't find key ", key, " in ", kind, " ", Namespace(pod), "/", name));
  }
  if (!base64) return std::string(v->Str());
  return text::FromBase64(v->Str());
}

Result<> AddFrom(Environment& env, const json::Value& pod, const json::Value& from, const Sources& sources) {
  const bool secret = from["secretRef"].is_object();
  const json::Value& ref = secret ? from["secretRef"] : from["configMapRef"];
  const std::string name(ref["name"].Str());
  const ObjectPtr object = (secret ? sources.secrets : sources.config_maps).Get({std::string(Namespace(pod)), name});
  if (!object) {
    if (ref["optional"].Bool()) return {};
    return Fail(Code::kNotFound, Cat(secret ? "secret " : "configmap ", Quote(name), " not found"));
  }
  for (const json::Member& m : (*object)["data"].Members()) {
    std::string variable = Cat(from["prefix"].Str(), m.key);
    if (variable.empty() || variable.find('=') != std::string::npos) continue;
    if (secret) {
      TRY(std::string value, text::FromBase64(m.value.Str()));
      Put(env, std::move(variable), std::move(value));
    } else {
      Put(env, std::move(variable), std::string(m.value.Str()));
    }
  }
  return {};
}

Result<> AddEntry(Environment& env, const Environment& services, const json::Value& pod, const json::Value& container, const json::Value& entry, const Sources& sources) {
  std::string name(entry["name"].Str());
  const json::Value& from = entry["valueFrom"];
  if (from.is_null()) {
    const Mapping mine = MappingOf(env), theirs = MappingOf(services);
    Put(env, std::move(name), Expand(entry["value"].Str(), [&](std::string_view n) {
          auto v = mine(n);
          return v ? v : theirs(n);
        }));
    return {};
  }
  bool absent = false;
  std::string value;
  if (from["fieldRef"].is_object()) {
    TRY(value, FieldValue(pod, from["fieldRef"]["fieldPath"].Str(), sources));
  } else if (from["resourceFieldRef"].is_object()) {
    TRY(value, ResourceValue(pod, from["resourceFieldRef"], container["name"].Str(), sources));
  } else if (from["configMapKeyRef"].is_object()) {
    TRY(value, KeyOfSource(pod, from["configMapKeyRef"], sources.config_maps, "ConfigMap", false, &absent));
  } else if (from["secretKeyRef"].is_object()) {
    TRY(value, KeyOfSource(pod, from["secretKeyRef"], sources.secrets, "Secret", true, &absent));
  }
  if (!absent) Put(env, std::move(name), std::move(value));
  return {};
}

// metadata.labels['key'] -> key; empty when the path is not of this form.
std::string_view Subscript(std::string_view path, std::string_view map) {
  if (!path.starts_with(map) || !path.substr(map.size()).starts_with("['") || !path.ends_with("']")) return {};
  return path.substr(map.size() + 2, path.size() - map.size() - 4);
}

std::string MapLines(const json::Value& map) {
  std::vector<std::pair<std::string_view, std::string_view>> sorted;
  for (const json::Member& m : map.Members()) sorted.emplace_back(m.key, m.value.Str());
  std::sort(sorted.begin(), sorted.end());
  std::string out;
  for (const auto& [k, v] : sorted) {
    if (!out.empty()) out += '\n';
    out += Cat(k, "=", Quote(v));
  }
  return out;
}

}  // namespace

Mapping MappingOf(const Environment& env) {
  return [&env](std::string_view name) -> std::optional<std::string> {
    for (const auto& [n, v] : env) {
      if (n == name) return v;
    }
    return std::nullopt;
  };
}

Result<Environment> MakeEnvironment(const json::Value& pod, const json::Value& container, const Sources& sources) {
  Environment env;
  const Environment services = ServiceVariables(pod, sources);
  for (const json::Value& from : container["envFrom"].Items()) TRY_VOID(AddFrom(env, pod, from, sources));
  for (const json::Value& entry : container["env"].Items()) TRY_VOID(AddEntry(env, services, pod, container, entry, sources));
  const Mapping mine = MappingOf(env);
  Environment out = env;
  for (const auto& [n, v] : services) {
    if (!mine(n)) out.emplace_back(n, v);
  }
  return out;
}

Result<std::string> FieldValue(const json::Value& pod, std::string_view path, const Sources& sources) {
  const json::Value& meta = pod["metadata"];
  if (path == "metadata.name" || path == "metadata.namespace" || path == "metadata.uid") return std::string(meta[path.substr(9)].Str());
  if (path == "metadata.labels") return MapLines(meta["labels"]);
  if (path == "metadata.annotations") return MapLines(meta["annotations"]);
  if (const std::string_view key = Subscript(path, "metadata.labels"); !key.empty()) return std::string(meta["labels"][key].Str());
  if (const std::string_view key = Subscript(path, "metadata.annotations"); !key.empty()) return std::string(meta["annotations"][key].Str());
  if (path == "spec.nodeName" || path == "spec.serviceAccountName") return std::string(pod["spec"][path.substr(5)].Str());
  if (path == "status.hostIP" || path == "status.hostIPs") return sources.host_ip;
  if (path == "status.podIP" || path == "status.podIPs") return sources.pod_ip;
  return Fail(Code::kInvalid, Cat("unsupported fieldPath: ", path));
}

Result<std::string> ResourceValue(const json::Value& pod, const json::Value& ref, std::string_view default_container, const Sources& sources) {
  const std::string_view resource = ref["resource"].Str();
  const std::size_t dot = resource.find('.');
  if (dot == std::string_view::npos) return Fail(Code::kInvalid, Cat("unsupported container resource : ", resource));
  const std::string_view list = resource.substr(0, dot), name = resource.substr(dot + 1);
  const std::string_view wanted = ref["containerName"].Str(default_container);
  const json::Value* found = nullptr;
  for (const char* kind : {"containers", "initContainers"}) {
    for (const json::Value& c : pod["spec"][kind].Items()) {
      if (c["name"].Str() == wanted) found = &c;
    }
  }
  if (!found) return Fail(Code::kInvalid, Cat("container ", wanted, " not found"));
  const json::Value* amount = (*found)["resources"][list].Find(name);
  if (!amount && list == "limits" && sources.node) amount = (*sources.node)["status"]["allocatable"].Find(name);
  text::Quantity value, divisor = text::Quantity::Of(1);
  if (amount) {
    TRY(value, text::Quantity::Parse(amount->is_string() ? amount->Str() : amount->Dump()));
  }
  if (const json::Value& d = ref["divisor"]; !d.is_null()) {
    TRY(divisor, text::Quantity::Parse(d.is_string() ? d.Str() : d.Dump()));
    if (divisor.is_zero()) divisor = text::Quantity::Of(1);
  }
  const bool cpu = name == "cpu";
  const std::int64_t a = cpu ? value.MilliValue() : value.Value(), b = std::max<std::int64_t>(1, cpu ? divisor.MilliValue() : divisor.Value());
  return std::to_string((a + b - 1) / b);
}

}  // namespace skerry::kube::node
