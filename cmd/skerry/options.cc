#include "cmd/skerry/options.h"

#include <unistd.h>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/netlink/address.h"
#include "core/text/yaml.h"

namespace skerry::cmd {

const std::vector<Flag>& StartFlags() {
  static const std::vector<Flag> flags = {
      {"data-dir", &Options::data_dir, "DIR", "where state, images, volumes and keys are kept"},
      {"run-dir", &Options::run_dir, "DIR", "sockets and what does not outlive a reboot"},
      {"config", &Options::config, "FILE", "configuration file: these names and values as YAML"},
      {"kubeconfig-out", &Options::kubeconfig_out, "FILE", "where the administrator's kubeconfig is written"},
      {"listen", &Options::listen, "ADDRESS:PORT", "API and console (TLS)"},
      {"node-ip", &Options::node_ip, "ADDRESS", "address of this node"},
      {"node-name", &Options::node_name, "NAME", "name of this node"},
      {"cluster-cidr", &Options::cluster_cidr, "CIDR", "pod addresses"},
      {"service-cidr", &Options::service_cidr, "CIDR", "service addresses"},
      {"dns-domain", &Options::dns_domain, "NAME", "cluster domain"},
      {"apps-domain", &Options::apps_domain, "NAME", "suffix of the host names that routes get"},
      {"runtime", &Options::runtime, "auto|oci|docker|none", "container driver; none = control plane only"},
      {"docker-socket", &Options::docker_socket, "PATH", "Docker or Podman socket; makes auto choose docker"},
      {"registry-listen", &Options::registry_listen, "ADDRESS:PORT", "built-in image registry; none = off"},
      {"router-http", &Options::router_http, "ADDRESS:PORT", "router, plain HTTP; none = off"},
      {"router-https", &Options::router_https, "ADDRESS:PORT", "router, TLS; none = off"},
      {"log-level", &Options::log_level, "debug|info|warn|error", "least severity that is logged"},
      {"log-format", &Options::log_format, "text|json", "form of log lines on stderr"},
      {"history", &Options::history, "DURATION", "how long old revisions can be listed and watched from"},
      {"hollow-nodes", &Options::hollow_nodes, "N", "add nodes that only pretend to run their pods, for tests of scale"},
      {"token-auth-file", &Options::token_auth_file, "FILE", "static bearer tokens: token,user,uid[,\"group,group\"] per line"},
      {"client-ca-file", &Options::client_ca_file, "FILE", "further authorities for client certificates (PEM)"},
      {"authorization-mode", &Options::authorization_mode, "MODES", "in order, of Node, RBAC, AlwaysAllow, AlwaysDeny"},
      {"enable-admission-plugins", &Options::enable_admission_plugins, "NAMES", "admission plugins besides those that are on by default"},
      {"disable-admission-plugins", &Options::disable_admission_plugins, "NAMES", "admission plugins that are off although on by default"},
  };
  return flags;
}

namespace {

const Flag* FindFlag(std::string_view name) {
  for (const Flag& f : StartFlags()) {
    if (name == f.name) return &f;
  }
  return nullptr;
}

Result<> OneOf(std::string_view flag, const std::string& value, std::string_view allowed) {
  for (const std::string_view a : Split(allowed, '|')) {
    if (a == value) return {};
  }
  return Fail(Code::kInvalid, Cat("--", flag, "=", value, ": expected one of ", allowed));
}

Result<netlink::Ipv4Range> Range(std::string_view flag, const std::string& value, int longest) {
  const auto range = netlink::Ipv4Range::Parse(value);
  if (!range || range->prefix > static_cast<unsigned>(longest)) return Fail(Code::kInvalid, Cat("--", flag, "=", value, ": expected an IPv4 range of at most /", longest, " such as 10.42.0.0/16"));
  return *range;
}

Result<> CheckNetwork(const Options& o) {
  TRY(const auto pods, Range("cluster-cidr", o.cluster_cidr, 30));
  TRY(const auto services, Range("service-cidr", o.service_cidr, 27));
  if (pods.Contains(services.base) || services.Contains(pods.base)) {
    return Fail(Code::kInvalid, Cat("--cluster-cidr=", o.cluster_cidr, " and --service-cidr=", o.service_cidr, " overlap"));
  }
  if (!o.node_ip.empty() && !netlink::Ipv4::Parse(o.node_ip)) return Fail(Code::kInvalid, Cat("--node-ip=", o.node_ip, ": expected an IPv4 address"));
  return {};
}

struct Assignment {
  const Flag* flag;
  std::string value;
};

Result<std::vector<Assignment>> ReadFlags(const std::vector<std::string>& args, bool* help) {
  std::vector<Assignment> out;
  for (std::size_t i = 0; i < args.size(); ++i) {
    std::string_view arg = args[i];
    if (arg == "-h" || arg == "--help") {
      *help = true;
      continue;
    }
    if (!arg.starts_with("--")) return Fail(Code::kInvalid, Cat("unexpected argument \"", arg, "\"; see --help"));
    arg.remove_prefix(2);
    const std::size_t eq = arg.find('=');
    const Flag* flag = FindFlag(arg.substr(0, eq));
    if (!flag) return Fail(Code::kInvalid, Cat("unknown flag --", arg.substr(0, eq), "; see --help"));
    if (eq != std::string_view::npos) {
      out.push_back({flag, std::string(arg.substr(eq + 1))});
    } else if (i + 1 < args.size()) {
      out.push_back({flag, args[++i]});
    } else {
      return Fail(Code::kInvalid, Cat("--", flag->name, " needs a value (", flag->value, ")"));
    }
  }
  return out;
}

Result<> ReadConfiguration(const std::string& path, bool must_exist, Options* options) {
  auto text = ReadFile(path, 1 << 20);
  if (!text) {
    if (!must_exist && text.error().code() == Code::kNotFound) return {};
    return std::unexpected(std::move(text).error());
  }
  auto parsed = text::ParseYaml(*text);
  if (!parsed) return std::unexpected(std::move(parsed.error()).Wrap(path));
  if (!parsed->is_object() && !parsed->is_null()) return Fail(Code::kInvalid, path + ": expected a mapping of option names to values");
  for (const json::Member& m : parsed->Members()) {
    const Flag* flag = FindFlag(m.key);
    if (!flag || m.key == "config") return Fail(Code::kInvalid, Cat(path, ": unknown option \"", m.key, "\"; see skerry start --help"));
    if (!m.value.is_string() && !m.value.is_number()) return Fail(Code::kInvalid, Cat(path, ": option \"", m.key, "\" needs a single value"));
    options->*(flag->field) = m.value.is_string() ? std::string(m.value.Str()) : m.value.Dump();
  }
  return {};
}

std::string HostName() {
  char buffer[256] = {};
  ::gethostname(buffer, sizeof buffer - 1);
  std::string name = ToLower(buffer);
  for (char& c : name) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.')) c = '-';
  }
  return name.empty() ? "localhost" : name;
}

std::string RememberedPath(const Options& o) { return o.data_dir + "/options"; }

Result<> MakeAbsolute(std::string* directory) {
  if (directory->empty()) return Fail(Code::kInvalid, "--data-dir needs a directory");
  if (directory->front() == '/') return {};
  char cwd[4096];
  if (!::getcwd(cwd, sizeof cwd)) return Fail(Code::kInvalid, "--data-dir: the current directory is gone; give an absolute path");
  *directory = std::string(cwd) + "/" + *directory;
  return {};
}

enum class Before : bool { kNothing, kRemembered };

Result<Options> Parse(const std::vector<std::string>& args, Before before) {
  Options o;
  TRY(const std::vector<Assignment> given, ReadFlags(args, &o.help));
  if (before == Before::kRemembered) {
    for (const Assignment& a : given) {
      if (a.flag->field == &Options::data_dir) o.data_dir = a.value;
    }
    TRY_VOID(MakeAbsolute(&o.data_dir));
    TRY_VOID(ReadConfiguration(RememberedPath(o), false, &o));
  }
  bool named = false;
  for (const Assignment& a : given) {
    if (a.flag->field == &Options::config) {
      o.config = a.value;
      named = true;
    }
  }
  TRY_VOID(ReadConfiguration(o.config, named, &o));
  for (const Assignment& a : given) o.*(a.flag->field) = a.value;
  TRY_VOID(OneOf("runtime", o.runtime, "auto|oci|docker|none"));
  TRY_VOID(OneOf("log-level", o.log_level, "debug|info|warn|error"));
  TRY_VOID(OneOf("log-format", o.log_format, "text|json"));
  if (const auto n = ParseInt(o.hollow_nodes); !n || *n < 0 || *n > 5000) return Fail(Code::kInvalid, Cat("--hollow-nodes=", o.hollow_nodes, ": expected 0 to 5000"));
  TRY_VOID(CheckNetwork(o));
  TRY_VOID(MakeAbsolute(&o.data_dir));
  if (o.node_name.empty()) o.node_name = HostName();
  const bool default_place = o.data_dir == "/var/lib/skerry";
  if (o.kubeconfig_out.empty()) o.kubeconfig_out = default_place ? "/etc/skerry/kubeconfig" : o.data_dir + "/kubeconfig";
  if (!default_place && o.run_dir == "/run/skerry") o.run_dir = o.data_dir + "/run";   // a second instance must not meet the first
  return o;
}

}  // namespace

Result<Options> ParseOptions(const std::vector<std::string>& args) { return Parse(args, Before::kNothing); }
Result<Options> ParseInstanceOptions(const std::vector<std::string>& args) { return Parse(args, Before::kRemembered); }

Result<> RememberOptions(const Options& o) {
  auto text = json::Value::Object();   // which is YAML
  for (const Flag& f : StartFlags()) {
    if (f.field != &Options::config && f.field != &Options::data_dir && !(o.*(f.field)).empty()) text.Set(f.name) = o.*(f.field);
  }
  return WriteFileDurably(RememberedPath(o), text.Dump() + "\n", 0600);
}

std::string StartHelp() {
  std::string out =
      "usage: skerry start [flags]\n\n"
      "Starts the appliance in the foreground: API, controllers, scheduler, node agent, registry, router, DNS and console.\n\n";
  const Options defaults;
  for (const Flag& f : StartFlags()) {
    std::string left = Cat("  --", f.name, "=", f.value);
    if (left.size() < 38) left.resize(38, ' ');
    out += Cat(left, " ", f.help);
    const std::string& value = defaults.*(f.field);
    if (!value.empty()) out += Cat(" (", value, ")");
    out += '\n';
  }
  return out;
}

}  // namespace skerry::cmd
