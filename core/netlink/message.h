#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

// Building and reading netlink messages (include/uapi/linux/netlink.h): a header, a family header, then type-length-value attributes,
// all padded to four bytes, in host byte order except where a family says otherwise (nfnetlink attributes are big-endian).
namespace skerry::netlink {

// Appends whole messages to one buffer. Begin, any number of Put/Nest, End.
class MessageWriter {
 public:
  void Begin(std::uint16_t type, std::uint16_t flags, std::string_view family_header);
  void End();
  void Put(std::uint16_t attribute, std::string_view payload);
  void PutString(std::uint16_t attribute, std::string_view text);         // with the terminating zero
  void PutU8(std::uint16_t attribute, std::uint8_t v);
  void PutU32(std::uint16_t attribute, std::uint32_t v);                  // host order
  void PutBig32(std::uint16_t attribute, std::uint32_t v);                // network order
  void PutBig16(std::uint16_t attribute, std::uint16_t v);
  void PutRaw(std::string_view bytes);                                    // padded; for headers inside a nest
  std::size_t OpenNest(std::uint16_t attribute);                          // sets NLA_F_NESTED
  std::size_t OpenPlainNest(std::uint16_t attribute);                     // for old families that reject the flag
  void CloseNest(std::size_t mark);
  std::size_t message_size() const { return buffer_.size() - start_; }    // of the message being built
  std::uint32_t sequence() const { return sequence_; }                    // of the last message begun; the first is 1
  const std::string& bytes() const { return buffer_; }
  bool empty() const { return buffer_.empty(); }

 private:
  std::string buffer_;
  std::size_t start_ = 0;
  std::uint32_t sequence_ = 0;
};

// A received message: views into the socket's buffer, valid during the callback only.
struct MessageView {
  std::uint16_t type = 0, flags = 0;
  std::uint32_t sequence = 0;
  std::string_view body;                                                  // family header and attributes
};

// Walks attributes; a length that does not fit ends the walk (the kernel is trusted, truncation is not).
void ForEachAttribute(std::string_view attributes, const std::function<void(std::uint16_t type, std::string_view payload)>& fn);
// Payload of the first such attribute; data() == nullptr when absent.
std::string_view FindAttribute(std::string_view attributes, std::uint16_t type);
std::uint32_t ReadHost32(std::string_view payload);   // 0 when shorter
std::uint32_t ReadBig32(std::string_view payload);
std::uint16_t ReadBig16(std::string_view payload);
std::string_view ReadString(std::string_view payload);   // without the terminating zero

}  // namespace skerry::netlink
