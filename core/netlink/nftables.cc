#include "core/netlink/nftables.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <cstring>

namespace skerry::netlink {
namespace {

constexpr char kGotoTag = '>';
constexpr std::size_t kElementsLimit = 48 << 10;   // a nest's length has 16 bits
// Comments live in a rule's user data as type-length-value with these one-byte fields (nft's own convention).
constexpr std::uint8_t kUserDataComment = 0;

std::string FamilyHeader(std::uint8_t family, std::uint16_t resource) {
  nfgenmsg h{};
  h.nfgen_family = family;
  h.version = NFNETLINK_V0;
  h.res_id = htons(resource);
  return {reinterpret_cast<const char*>(&h), sizeof h};
}

std::uint16_t NftType(int message) { return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message); }

void PutElement(MessageWriter& out, const NftElement& e) {
  const std::size_t item = out.OpenNest(NFTA_LIST_ELEM);
  const std::size_t key = out.OpenNest(NFTA_SET_ELEM_KEY);
  out.Put(NFTA_DATA_VALUE, e.key);
  out.CloseNest(key);
  if (!e.value.empty()) {
    const std::size_t data = out.OpenNest(NFTA_SET_ELEM_DATA);
    if (e.value[0] == kGotoTag && e.value.size() % 4 != 0) {
      const std::size_t verdict = out.OpenNest(NFTA_DATA_VERDICT);
      out.PutBig32(NFTA_VERDICT_CODE, static_cast<std::uint32_t>(NFT_GOTO));
      std::string_view chain(e.value);
      chain.remove_prefix(1);
      out.PutString(NFTA_VERDICT_CHAIN, chain.substr(0, chain.find('\0')));
      out.CloseNest(verdict);
    } else {
      out.Put(NFTA_DATA_VALUE, e.value);
    }
    out.CloseNest(data);
  }
  out.CloseNest(item);
}

// Consecutive changes of one kind and set share a message, up to the size of a nest.
void PutChanges(MessageWriter& out, const std::string& table, const std::vector<NftChange>& changes, std::vector<std::uint32_t>& acks) {
  const std::string header = FamilyHeader(NFPROTO_IPV4, 0);
  for (std::size_t i = 0; i < changes.size();) {
    const auto kind = changes[i].kind;
    const std::string& set = changes[i].set;
    const bool add = kind == NftChange::Kind::kAdd;
    const std::uint16_t flags = NLM_F_REQUEST | NLM_F_ACK | (add ? NLM_F_CREATE : 0);
    out.Begin(NftType(add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM), flags, header);
    acks.push_back(out.sequence());
    out.PutString(NFTA_SET_ELEM_LIST_TABLE, table);
    out.PutString(NFTA_SET_ELEM_LIST_SET, set);
    const std::size_t list = out.OpenNest(NFTA_SET_ELEM_LIST_ELEMENTS);
    for (; i < changes.size() && changes[i].kind == kind && changes[i].set == set && out.message_size() < kElementsLimit; ++i) {
      PutElement(out, changes[i].element);
    }
    out.CloseNest(list);
    out.End();
  }
}

NftElement ReadElement(std::string_view item) {
  NftElement out;
  out.key = FindAttribute(FindAttribute(item, NFTA_SET_ELEM_KEY), NFTA_DATA_VALUE);
  const std::string_view data = FindAttribute(item, NFTA_SET_ELEM_DATA);
  if (const auto verdict = FindAttribute(data, NFTA_DATA_VERDICT); verdict.data() != nullptr) {
    out.value = NftGoto(ReadString(FindAttribute(verdict, NFTA_VERDICT_CHAIN)));
  } else {
    out.value = FindAttribute(data, NFTA_DATA_VALUE);
  }
  return out;
}

bool HasComment(std::string_view user_data, std::string_view comment) {
  while (user_data.size() >= 2) {
    const auto type = static_cast<std::uint8_t>(user_data[0]);
    const auto length = static_cast<std::uint8_t>(user_data[1]);
    user_data.remove_prefix(2);
    if (length > user_data.size()) return false;
    if (type == kUserDataComment) return ReadString(user_data.substr(0, length)) == comment;
    user_data.remove_prefix(length);
  }
  return false;
}

}  // namespace

NftBytes& NftBytes::Address(Ipv4 a) {
  a.AppendWire(bytes_);
  return *this;
}
NftBytes& NftBytes::Protocol(std::uint8_t p) {
  bytes_ += static_cast<char>(p);
  bytes_.append(3, '\0');
  return *this;
}
NftBytes& NftBytes::Port(std::uint16_t port) {
  bytes_ += static_cast<char>(port >> 8);
  bytes_ += static_cast<char>(port & 255);
  bytes_.append(2, '\0');
  return *this;
}
NftBytes& NftBytes::Mark(std::uint32_t mark) {
  bytes_.append(reinterpret_cast<const char*>(&mark), sizeof mark);
  return *this;
}

std::string NftGoto(std::string_view chain) {
  // Data values are multiples of four bytes; this never is, so that the two cannot be confused.
  std::string out(1, kGotoTag);
  out += chain;
  if (out.size() % 4 == 0) out += '\0';
  return out;
}

Result<NftTable> NftTable::Open(std::string table) {
  TRY(Socket socket, Socket::Open(NETLINK_NETFILTER));
  return NftTable(std::move(table), std::move(socket));
}

Result<> NftTable::Apply(const std::vector<NftChange>& changes) {
  if (changes.empty()) return {};
  MessageWriter out;
  std::vector<std::uint32_t> acks;
  out.Begin(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, FamilyHeader(AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
  out.End();
  PutChanges(out, table_, changes, acks);
  out.Begin(NFNL_MSG_BATCH_END, NLM_F_REQUEST, FamilyHeader(AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
  out.End();
  auto r = socket_.TransactBatch(out, acks);
  if (!r) return std::unexpected(std::move(r.error()).Wrap("change table " + table_));
  return {};
}

Result<std::vector<NftElement>> NftTable::List(const std::string& set) {
  for (int attempt = 0;; ++attempt) {
    std::vector<NftElement> elements;
    MessageWriter request;
    request.Begin(NftType(NFT_MSG_GETSETELEM), NLM_F_REQUEST | NLM_F_DUMP, FamilyHeader(NFPROTO_IPV4, 0));
    request.PutString(NFTA_SET_ELEM_LIST_TABLE, table_);
    request.PutString(NFTA_SET_ELEM_LIST_SET, set);
    request.End();
    auto r = socket_.Dump(request, [&](const MessageView& m) {
      const auto list = FindAttribute(m.body.substr(std::min(sizeof(nfgenmsg), m.body.size())), NFTA_SET_ELEM_LIST_ELEMENTS);
      ForEachAttribute(list, [&](std::uint16_t type, std::string_view item) {
        if (type == NFTA_LIST_ELEM) elements.push_back(ReadElement(item));
      });
    });
    if (r) return elements;
    if (r.error().code() != Code::kConflict || attempt == 10) return std::unexpected(std::move(r.error()).Wrap("list set " + set));
  }
}

Result<std::vector<std::uint64_t>> FindRules(const std::string& table, const std::string& chain, std::string_view comment) {
  TRY(const bool exists, HasChain(table, chain));
  std::vector<std::uint64_t> handles;
  if (!exists) return handles;
  TRY(Socket socket, Socket::Open(NETLINK_NETFILTER));
  MessageWriter request;
  request.Begin(NftType(NFT_MSG_GETRULE), NLM_F_REQUEST | NLM_F_DUMP, FamilyHeader(NFPROTO_IPV4, 0));
  request.PutString(NFTA_RULE_TABLE, table);
  request.PutString(NFTA_RULE_CHAIN, chain);
  request.End();
  TRY_VOID(socket.Dump(request, [&](const MessageView& m) {
    const auto attributes = m.body.substr(std::min(sizeof(nfgenmsg), m.body.size()));
    const auto handle = FindAttribute(attributes, NFTA_RULE_HANDLE);
    if (handle.size() < 8 || !HasComment(FindAttribute(attributes, NFTA_RULE_USERDATA), comment)) return;
    handles.push_back(std::uint64_t{ReadBig32(handle)} << 32 | ReadBig32(handle.substr(4)));
  }));
  return handles;
}

Result<std::vector<std::string>> ListChains(const std::string& table) {
  TRY(Socket socket, Socket::Open(NETLINK_NETFILTER));
  MessageWriter request;
  request.Begin(NftType(NFT_MSG_GETCHAIN), NLM_F_REQUEST | NLM_F_DUMP, FamilyHeader(NFPROTO_IPV4, 0));
  request.End();
  std::vector<std::string> names;
  auto r = socket.Dump(request, [&](const MessageView& m) {
    const auto attributes = m.body.substr(std::min(sizeof(nfgenmsg), m.body.size()));
    if (ReadString(FindAttribute(attributes, NFTA_CHAIN_TABLE)) != table) return;
    names.emplace_back(ReadString(FindAttribute(attributes, NFTA_CHAIN_NAME)));
  });
  if (r) return names;
  if (r.error().code() == Code::kConflict) return ListChains(table);   // another program changed its rules meanwhile
  return std::unexpected(std::move(r.error()).Wrap("list chains"));
}

Result<bool> HasChain(const std::string& table, const std::string& chain) {
  TRY(Socket socket, Socket::Open(NETLINK_NETFILTER));
  MessageWriter request;
  request.Begin(NftType(NFT_MSG_GETCHAIN), NLM_F_REQUEST | NLM_F_ACK, FamilyHeader(NFPROTO_IPV4, 0));
  request.PutString(NFTA_CHAIN_TABLE, table);
  request.PutString(NFTA_CHAIN_NAME, chain);
  request.End();
  auto r = socket.Transact(request);
  if (r) return true;
  if (r.error().code() == Code::kNotFound) return false;
  return std::unexpected(std::move(r.error()).Wrap("look up chain " + chain));
}

}  // namespace skerry::netlink
