#include "core/podnet/services.h"

#include <netinet/in.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_set>

#include "core/base/strings.h"
#include "core/netlink/conntrack.h"
#include "core/netlink/nftables.h"
#include "core/netlink/ruleset.h"
#include "core/podnet/elements.h"

namespace skerry::podnet {
namespace {

using netlink::Ipv4;
using netlink::NftBytes;

std::string AddressKey(Protocol p, Endpoint a) {
  return NftBytes().Address(a.address).Protocol(static_cast<std::uint8_t>(p)).Port(a.port).Take();
}
std::string PortKey(Protocol p, std::uint16_t port) { return NftBytes().Protocol(static_cast<std::uint8_t>(p)).Port(port).Take(); }
std::string MarkKey(std::uint32_t a) { return NftBytes().Mark(a).Take(); }
std::string MarkKey(std::uint32_t a, std::uint32_t b) { return NftBytes().Mark(a).Mark(b).Take(); }
std::uint32_t ReadMark(std::string_view bytes, std::size_t at) {
  std::uint32_t v = 0;
  if (bytes.size() >= at + sizeof v) std::memcpy(&v, bytes.data() + at, sizeof v);
  return v;
}
Endpoint ReadEndpoint(const std::string& wire) {   // as kEndpoint's values: address, port, two bytes of padding
  Endpoint out;
  if (wire.size() < 6) return out;
  out.address = Ipv4::FromWire(wire.data());
  out.port = static_cast<std::uint16_t>(static_cast<std::uint8_t>(wire[4]) << 8 | static_cast<std::uint8_t>(wire[5]));
  return out;
}

// A service port and its numbers in the kernel. `marks` runs beside port.endpoints: the second half of an endpoint's key in `ep`.
// Without affinity the marks are 0..n-1, what numgen draws. With affinity a mark stays with its endpoint for as long as that lives,
// because clients are bound to it; `slot` leads from 0..n-1 to the marks.
struct Record {
  std::uint32_t number = 0;
  ServicePort port;
  std::vector<std::uint32_t> marks;
};
using Marks = std::map<Endpoint, std::uint32_t>;

std::vector<std::uint32_t> AssignMarks(const Marks& before, const ServicePort& port) {
  const std::size_t n = port.endpoints.size();
  constexpr std::uint32_t kNone = ~0U;
  std::vector<std::uint32_t> out(n, kNone);
  std::unordered_set<std::uint32_t> used;
  for (std::size_t i = 0; i < n; ++i) {
    const auto at = before.find(port.endpoints[i]);
    if (at == before.end() || (port.affinity.count() == 0 && at->second >= n)) continue;
    if (used.insert(at->second).second) out[i] = at->second;
  }
  std::uint32_t next = 0;
  for (std::uint32_t& mark : out) {
    if (mark != kNone) continue;
    while (!used.insert(next).second) ++next;
    mark = next;
  }
  return out;
}

std::vector<Element> ElementsOf(const Record& r) {
  std::vector<Element> out;
  const ServicePort& p = r.port;
  const std::string number = MarkKey(r.number);
  const bool open = !p.endpoints.empty();
  for (const Endpoint& a : p.addresses) out.push_back({open ? Set::kVip : Set::kClosedVip, AddressKey(p.protocol, a), open ? number : ""});
  if (p.node_port != 0) out.push_back({open ? Set::kPort : Set::kClosedPort, PortKey(p.protocol, p.node_port), open ? number : ""});
  if (!open) return out;
  const std::size_t n = p.endpoints.size();
  const bool sticky = p.affinity.count() > 0;
  out.push_back({Set::kPlan, number, netlink::NftGoto(sticky ? AffinityChain(n, p.affinity) : BalanceChain(n))});
  if (sticky) out.push_back({Set::kAgain, number, netlink::NftGoto(AffinityRetryChain(n, p.affinity))});
  for (std::uint32_t i = 0; i < n; ++i) {
    const Endpoint& e = p.endpoints[i];
    out.push_back({Set::kEndpoint, MarkKey(r.number, r.marks[i]), NftBytes().Address(e.address).Port(e.port).Take()});
    if (sticky) out.push_back({Set::kSlot, MarkKey(r.number, i), MarkKey(r.marks[i])});
    out.push_back({Set::kHairpin, NftBytes().Address(e.address).Address(e.address).Take(), ""});
  }
  std::sort(out.begin(), out.end());   // several endpoints on one address claim the same hairpin key
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

bool Has(const std::vector<Endpoint>& list, Endpoint e) { return std::find(list.begin(), list.end(), e) != list.end(); }

// Whether a UDP flow would go elsewhere now. A bound client socket never starts a new flow by itself: the kernel must forget the old one.
bool IsStale(const netlink::Flow& flow, const ServicePort& before, const ServicePort& now) {
  const Endpoint to{flow.destination, flow.destination_port}, from{flow.reply_source, flow.reply_source_port};
  const auto knocks = [&](const ServicePort& p) { return Has(p.addresses, to) || (p.node_port != 0 && p.node_port == to.port); };
  const bool right = knocks(now) && Has(now.endpoints, from);
  if (right) return false;
  if (knocks(before) && Has(before.endpoints, from)) return true;
  return knocks(now) && !now.endpoints.empty() && from == to;   // went untranslated before there was an endpoint or the service
}

}  // namespace

class ServiceTable::State {
 public:
  State(RulesOptions options, std::vector<std::string> scopes, netlink::NftTable table)
      : options_(std::move(options)), scopes_(scopes.begin(), scopes.end()), table_(std::move(table)) {}

  Result<> Adopt();
  Result<> Replace(std::string_view scope, std::vector<ServicePort> ports);
  Result<> Change(std::string_view scope, std::vector<ServicePort> set, const std::vector<std::string>& remove);
  Result<> Reconcile();
  std::size_t size() const { return records_.size(); }

 private:
  Result<> EnsureTable();
  Result<> EnsureChains(const std::vector<const Record*>& records);
  std::uint32_t NumberFor(const ServicePort& port, Marks& marks);
  void Put(std::string id, ServicePort port);
  void Remove(const std::string& id);
  void NoteFlows(ServicePort before, ServicePort now);
  Result<> Push();
  Result<> Finish(Result<> r);
  Result<> PurgeFlows();

  const RulesOptions options_;
  std::set<std::string, std::less<>> scopes_;   // not yet replaced
  netlink::NftTable table_;
  std::set<std::string> chains_;
  Elements elements_;
  std::unordered_map<std::string, Record, StringHash, std::equal_to<>> records_;   // scope/id
  std::unordered_set<std::uint32_t> numbers_;
  std::uint32_t last_number_ = 0;
  std::vector<const Record*> touched_;                              // since the last push, for chains
  std::vector<std::pair<ServicePort, ServicePort>> changed_flows_;   // UDP ports: before, now
  bool dirty_ = false;                                               // the kernel may differ from elements_

  // What an earlier process left: service numbers by their front, marks by number.
  std::unordered_map<std::string, std::uint32_t> adopted_fronts_;
  std::unordered_map<std::uint32_t, Marks> adopted_marks_;
};

Result<> ServiceTable::State::EnsureTable() {
  TRY(auto chains, netlink::ListChains(options_.table));
  chains_ = {chains.begin(), chains.end()};
  if (chains_.contains(MarkerChain(options_))) return {};
  TRY_VOID(netlink::LoadRuleset(StaticRules(options_)));
  TRY(chains, netlink::ListChains(options_.table));
  chains_ = {chains.begin(), chains.end()};
  return {};
}

Result<> ServiceTable::State::Adopt() {
  TRY_VOID(EnsureTable());
  for (const Set set : {Set::kVip, Set::kPort}) {
    TRY(const auto listed, table_.List(SetName(set)));
    for (const auto& e : listed) {
      adopted_fronts_.emplace(SetName(set) + e.key, ReadMark(e.value, 0));
      last_number_ = std::max(last_number_, ReadMark(e.value, 0));
    }
  }
  TRY(const auto listed, table_.List(SetName(Set::kEndpoint)));
  for (const auto& e : listed) {
    adopted_marks_[ReadMark(e.key, 0)].emplace(ReadEndpoint(e.value), ReadMark(e.key, 4));
    last_number_ = std::max(last_number_, ReadMark(e.key, 0));
  }
  return {};
}

std::uint32_t ServiceTable::State::NumberFor(const ServicePort& port, Marks& marks) {
  const auto adopt = [&](Set set, const std::string& key) -> std::uint32_t {
    const auto at = adopted_fronts_.find(SetName(set) + key);
    return at == adopted_fronts_.end() || numbers_.contains(at->second) ? 0 : at->second;
  };
  std::uint32_t number = 0;
  for (const Endpoint& a : port.addresses) {
    if (number == 0) number = adopt(Set::kVip, AddressKey(port.protocol, a));
  }
  if (number == 0 && port.node_port != 0) number = adopt(Set::kPort, PortKey(port.protocol, port.node_port));
  if (number != 0) {
    marks = adopted_marks_[number];
  } else {
    number = ++last_number_;
  }
  numbers_.insert(number);
  return number;
}

void ServiceTable::State::NoteFlows(ServicePort before, ServicePort now) {
  if (before.protocol == Protocol::kUdp) changed_flows_.emplace_back(std::move(before), std::move(now));
}

void ServiceTable::State::Put(std::string id, ServicePort port) {
  std::sort(port.endpoints.begin(), port.endpoints.end());
  port.endpoints.erase(std::unique(port.endpoints.begin(), port.endpoints.end()), port.endpoints.end());
  const auto at = records_.find(id);
  if (at != records_.end() && at->second.port == port) return;
  Marks marks;
  Record next;
  ServicePort before;
  if (at != records_.end()) {
    Record& old = at->second;
    next.number = old.number;
    for (std::size_t i = 0; i < old.marks.size(); ++i) marks.emplace(old.port.endpoints[i], old.marks[i]);
    for (const Element& e : ElementsOf(old)) elements_.Release(old.number, e);
    before = std::move(old.port);
  } else {
    next.number = NumberFor(port, marks);
    before = port;
    before.endpoints.clear();
    for (const auto& [endpoint, mark] : marks) before.endpoints.push_back(endpoint);
  }
  next.marks = AssignMarks(marks, port);
  next.port = std::move(port);
  for (const Element& e : ElementsOf(next)) elements_.Claim(next.number, e);
  NoteFlows(std::move(before), next.port);
  Record& stored = records_[std::move(id)];
  stored = std::move(next);
  touched_.push_back(&stored);   // node-based map: stays put until removed
}

void ServiceTable::State::Remove(const std::string& id) {
  const auto at = records_.find(id);
  if (at == records_.end()) return;
  Record& old = at->second;
  for (const Element& e : ElementsOf(old)) elements_.Release(old.number, e);
  numbers_.erase(old.number);
  std::erase(touched_, &old);
  ServicePort nothing;
  nothing.protocol = old.port.protocol;
  NoteFlows(std::move(old.port), std::move(nothing));
  records_.erase(at);
}

Result<> ServiceTable::State::EnsureChains(const std::vector<const Record*>& records) {
  std::string text;
  std::set<std::string> made;
  const auto need = [&](const std::string& chain, const auto& body) {
    if (!chains_.contains(chain) && made.insert(chain).second) text += body();
  };
  for (const Record* r : records) {
    const std::size_t n = r->port.endpoints.size();
    const auto timeout = r->port.affinity;
    if (n == 0) continue;
    if (timeout.count() == 0) {
      need(BalanceChain(n), [&] { return BalanceChainText(n); });
      continue;
    }
    need(AffinitySharedChain(timeout), [&] { return AffinitySharedText(timeout); });
    need(AffinityChain(n, timeout), [&] { return AffinityChainText(n, timeout); });
  }
  if (text.empty()) return {};
  TRY_VOID(netlink::LoadRuleset(Cat("table ip ", options_.table, " {\n", text, "}\n")));
  chains_.merge(made);
  return {};
}

// Everything set so far goes into the kernel, as a difference when the kernel is known to hold the rest.
Result<> ServiceTable::State::Push() {
  if (dirty_ || !scopes_.empty()) return Reconcile();
  auto chains = EnsureChains(touched_);
  auto r = chains ? table_.Apply(elements_.Pending()) : std::move(chains);
  if (r) return Finish(std::move(r));
  // Somebody else changed the table, or it is gone: our picture of it is worth nothing.
  return Reconcile();
}

Result<> ServiceTable::State::Reconcile() {
  Result<> r;
  for (int attempt = 0; attempt < 3; ++attempt) {
    r = [&]() -> Result<> {
      TRY_VOID(EnsureTable());
      std::vector<const Record*> all;
      for (const auto& [id, record] : records_) all.push_back(&record);
      TRY_VOID(EnsureChains(all));
      std::vector<netlink::NftChange> remove, add;
      for (std::size_t i = 0; i < kSetCount; ++i) {
        TRY(const auto listed, table_.List(SetName(static_cast<Set>(i))));
        for (auto& change : elements_.Difference(static_cast<Set>(i), listed, scopes_.empty())) {
          (change.kind == netlink::NftChange::Kind::kDelete ? remove : add).push_back(std::move(change));
        }
      }
      remove.insert(remove.end(), std::make_move_iterator(add.begin()), std::make_move_iterator(add.end()));
      return table_.Apply(remove);
    }();
    if (r) break;
  }
  return Finish(std::move(r));
}

Result<> ServiceTable::State::Finish(Result<> r) {
  dirty_ = !r.has_value();
  touched_.clear();
  if (!r) return r;
  elements_.Commit();
  return PurgeFlows();
}

Result<> ServiceTable::State::PurgeFlows() {
  // Only a port that lost something, or opened, has flows to forget.
  std::erase_if(changed_flows_, [](const auto& change) {
    const auto& [before, now] = change;
    const auto kept = [](const auto& a, const auto& b) { return std::all_of(a.begin(), a.end(), [&](const Endpoint& e) { return Has(b, e); }); };
    const bool opened = !now.endpoints.empty() && (before.endpoints.empty() || !kept(now.addresses, before.addresses) || now.node_port != before.node_port);
    return !opened && kept(before.endpoints, now.endpoints) && kept(before.addresses, now.addresses) && before.node_port == now.node_port;
  });
  if (changed_flows_.empty()) return {};
  const auto changes = std::exchange(changed_flows_, {});
  auto r = netlink::DeleteFlows(IPPROTO_UDP, [&](const netlink::Flow& flow) {
    return std::any_of(changes.begin(), changes.end(), [&](const auto& c) { return IsStale(flow, c.first, c.second); });
  });
  if (!r) return std::unexpected(std::move(r.error()).Wrap("forget UDP flows"));
  return {};
}

Result<> ServiceTable::State::Replace(std::string_view scope, std::vector<ServicePort> ports) {
  const std::string prefix = Cat(scope, '/');
  std::unordered_set<std::string> keep;
  for (ServicePort& p : ports) {
    std::string id = prefix + p.id;
    keep.insert(id);
    Put(std::move(id), std::move(p));
  }
  std::vector<std::string> gone;
  for (const auto& [id, record] : records_) {
    if (id.starts_with(prefix) && !keep.contains(id)) gone.push_back(id);
  }
  for (const std::string& id : gone) Remove(id);
  const bool first = scopes_.erase(std::string(scope)) > 0;
  if (first) {
    if (scopes_.empty()) adopted_fronts_ = {}, adopted_marks_ = {};
    return Reconcile();
  }
  return Push();
}

Result<> ServiceTable::State::Change(std::string_view scope, std::vector<ServicePort> set, const std::vector<std::string>& remove) {
  for (const std::string& id : remove) Remove(Cat(scope, '/', id));
  for (ServicePort& p : set) {
    std::string id = Cat(scope, '/', p.id);
    Put(std::move(id), std::move(p));
  }
  return Push();
}

ServiceTable::ServiceTable(std::unique_ptr<Guarded<State>> state) : state_(std::move(state)) {}
ServiceTable::~ServiceTable() = default;

Result<std::unique_ptr<ServiceTable>> ServiceTable::Open(RulesOptions options, std::vector<std::string> scopes) {
  TRY(auto table, netlink::NftTable::Open(options.table));
  auto state = std::make_unique<Guarded<State>>(std::move(options), std::move(scopes), std::move(table));
  {
    auto locked = state->Lock();
    TRY_VOID(locked->Adopt());
  }
  return std::unique_ptr<ServiceTable>(new ServiceTable(std::move(state)));
}

Result<> ServiceTable::Replace(std::string_view scope, std::vector<ServicePort> ports) {
  auto state = state_->Lock();
  return state->Replace(scope, std::move(ports));
}
Result<> ServiceTable::Change(std::string_view scope, std::vector<ServicePort> set, const std::vector<std::string>& remove) {
  auto state = state_->Lock();
  return state->Change(scope, std::move(set), remove);
}
Result<> ServiceTable::Repair() {
  auto state = state_->Lock();
  return state->Reconcile();
}
std::size_t ServiceTable::size() const {
  auto state = state_->Lock();
  return state->size();
}

Result<> ServiceTable::Remove(const std::string& table) {
  return netlink::LoadRuleset(Cat("table ip ", table, " { }\ndelete table ip ", table, "\n"));
}

}  // namespace skerry::podnet
