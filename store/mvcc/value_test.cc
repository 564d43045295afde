#include "store/value.h"

#include <catch2/catch.hpp>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "core/base/random.h"
#include "core/base/strings.h"

namespace skerry::store {
namespace {

// What objects look like: the same frame around something of their own.
std::string Object(int i) {
  return Cat(R"({"kind":"Thing","apiVersion":"v1","metadata":{"name":"thing-)", i, R"(","namespace":"default","uid":"00000000-0000-4000-8000-)", 100000 + i,
             R"("},"data":{"first":"the value of )", i, R"(","second":"another one that is the same everywhere, as so many are"}})");
}

std::string Noise(std::size_t size) {
  std::string out(size, '\0');
  Random::System().Fill(std::as_writable_bytes(std::span(out)));
  return out;
}

// Text of few characters that does not repeat itself.
std::string Digits(std::size_t size) {
  std::string out = Noise(size);
  for (char& c : out) c = static_cast<char>('0' + (static_cast<unsigned char>(c) & 15));
  return out;
}

std::vector<Value> Settled(const std::vector<std::string>& texts) {
  std::vector<Value> values;
  for (const auto& text : texts) {
    values.emplace_back(Bytes(text));
    values.back().Settle();
  }
  return values;
}

}  // namespace

TEST_CASE("a value is the same before and after it was compressed", "[store]") {
  std::vector<std::string> texts = {"", "short", std::string(200, 'a'), Noise(2000), Noise(200'000), std::string(5 << 20, 'b')};
  for (int i = 0; i < 500; ++i) texts.push_back(Object(i));
  const auto values = Settled(texts);
  for (const std::size_t budget : {std::size_t{100'000}, std::size_t{0}, std::size_t{0}}) {
    CompressValues(budget);
    bool same = true;
    for (std::size_t i = 0; i < texts.size(); ++i) same = same && values[i].Load().view() == texts[i] && values[i].size() == texts[i].size();
    CHECK(same);
  }
  bool unpacked = true;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    Value::Room room;
    std::string text(values[i].size(), '?');
    const bool packed = values[i].resident() < values[i].size();
    unpacked = unpacked && values[i].View(room) == texts[i] && values[i].Unpack(text.data()) == packed && (!packed || text == texts[i]);
  }
  CHECK(unpacked);
  CHECK(values[2].resident() < 100);
  CHECK(values[3].resident() == 2000);   // noise does not shrink
  std::size_t resident = 0, plain = 0;
  for (std::size_t i = 6; i < values.size(); ++i) resident += values[i].resident(), plain += values[i].size();
  CHECK(resident < plain * 2 / 3);
}

TEST_CASE("a value that does not repeat itself is made smaller by what is frequent in it", "[store]") {
  const std::string text = Digits(4000);
  const auto values = Settled({text, Object(1)});
  CompressValues(0);
  CHECK(values[0].resident() < text.size() * 2 / 3);
  CHECK(values[0].Load().view() == text);
  Value::Room room;
  CHECK(values[0].View(room) == text);
}

TEST_CASE("a value outlives the compression of its copies, and its dictionary the next one", "[store]") {
  std::vector<Value> first = Settled({Object(1)});
  CompressValues(0);
  const Value copy = first[0];
  first.clear();
  std::vector<std::string> much;
  for (int i = 0; i < 200; ++i) much.push_back(Noise(20'000));   // enough for the next dictionary
  const auto others = Settled(much);
  CompressValues(0);
  CHECK(copy.Load().view() == Object(1));
  CHECK(others[7].Load().view() == much[7]);
}

TEST_CASE("values are read by many threads while they are compressed", "[store]") {
  std::vector<std::string> texts;
  for (int i = 0; i < 2000; ++i) texts.push_back(Object(i));
  const auto values = Settled(texts);
  std::vector<int> wrong(4);
  std::vector<std::thread> readers;
  for (std::size_t r = 0; r < wrong.size(); ++r) {
    readers.emplace_back([&, r] {
      for (std::size_t i = 0; i < texts.size(); ++i) {
        const Value copy = values[(i * 7 + r) % texts.size()];
        wrong[r] += copy.Load().view() != texts[(i * 7 + r) % texts.size()];
      }
    });
  }
  std::thread second([] { CompressValues(0); });
  for (std::size_t budget = 400'000; budget > 0; budget -= 40'000) CompressValues(budget);
  CompressValues(0);
  second.join();
  for (auto& reader : readers) reader.join();
  CHECK(wrong == std::vector<int>(4));
}

}  // namespace skerry::store
