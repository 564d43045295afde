#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <memory>

#include "core/base/files.h"
#include "core/base/random.h"
#include "tests/fuzz/fuzz.h"

namespace skerry::fuzz {
namespace {

constexpr std::size_t kMaxInput = 4096;

// tests/fuzz/corpus of the source tree: above the build folder that the running program is in.
std::string CorpusFolder(std::string_view name) {
  char self[PATH_MAX];
  const ssize_t n = ::readlink("/proc/self/exe", self, sizeof self);
  std::string path(self, static_cast<std::size_t>(n > 0 ? n : 0));
  while (!path.empty()) {
    path.resize(path.find_last_of('/') == std::string::npos ? 0 : path.find_last_of('/'));
    const std::string folder = path + "/tests/fuzz/corpus";
    if (::access(folder.c_str(), R_OK) == 0) return folder + "/" + std::string(name);
  }
  return {};
}

std::vector<std::string> ReadCorpus(std::string_view name) {
  std::vector<std::string> files, out;
  const std::string folder = CorpusFolder(name);
  DIR* directory = folder.empty() ? nullptr : ::opendir(folder.c_str());
  if (!directory) return out;
  while (const dirent* entry = ::readdir(directory)) {
    if (entry->d_name[0] != '.') files.push_back(folder + "/" + entry->d_name);
  }
  ::closedir(directory);
  std::sort(files.begin(), files.end());
  for (const std::string& file : files) {
    if (auto bytes = ReadFile(file)) out.push_back(*std::move(bytes));
  }
  return out;
}

class Mutator {
 public:
  Mutator(const Target& target, const std::vector<std::string>& corpus, std::uint64_t seed) : target_(target), corpus_(corpus), random_(seed) {}

  std::string Next() {
    std::string s = corpus_[random_.Below(corpus_.size())];
    for (std::uint64_t n = 1 + random_.Below(4); n > 0; --n) Change(s);
    if (s.size() > kMaxInput) s.resize(kMaxInput);
    return s;
  }

 private:
  std::size_t Place(const std::string& s) { return random_.Below(s.size() + 1); }

  void Change(std::string& s) {
    const std::size_t at = Place(s);
    switch (random_.Below(8)) {
      case 0:
        if (at < s.size()) s[at] = static_cast<char>(s[at] ^ (1 << random_.Below(8)));
        break;
      case 1: s.insert(at, 1, static_cast<char>(random_.Below(256))); break;
      case 2: s.erase(at, 1 + random_.Below(8)); break;
      case 3:
      case 4:
        if (!target_.fragments.empty()) s.insert(at, target_.fragments[random_.Below(target_.fragments.size())]);
        break;
      case 5: {   // repeat a piece
        const std::string piece = s.substr(at, 1 + random_.Below(16));
        for (std::uint64_t n = random_.Below(8); n > 0; --n) s.insert(at, piece);
        break;
      }
      case 6: {   // the head of one and the tail of another
        const std::string& other = corpus_[random_.Below(corpus_.size())];
        s.resize(at);
        s += other.substr(Place(other));
        break;
      }
      default: s.resize(at); break;
    }
  }

  const Target& target_;
  const std::vector<std::string>& corpus_;
  SeededRandom random_;
};

bool RunOne(const Target& target, const std::string& input, Outcome* outcome) {
  // For a crash that ends the process: the last input is in this file.
  static const char* const last = std::getenv("SKERRY_FUZZ_LAST");
  if (last) static_cast<void>(WriteFileDurably(last, input));
  try {
    ++outcome->runs;
    // A copy of exactly the input's size, so that a sanitizer sees every byte read too far.
    const std::vector<std::uint8_t> bytes(input.begin(), input.end());
    outcome->accepted += target.run(bytes.data(), bytes.size()) == 1;
    return true;
  } catch (const Violation& v) {
    outcome->violation = v.what;
    outcome->input = input;
    return false;
  }
}

}  // namespace

void Require(bool holds, std::string_view what) {
  if (!holds) throw Violation{std::string(what)};
}

Outcome Run(const Target& target, std::size_t runs, std::uint64_t seed) {
  std::vector<std::string> corpus = ReadCorpus(target.name);
  corpus.insert(corpus.end(), target.seeds.begin(), target.seeds.end());
  const std::unique_ptr<const Target, void (*)(const Target*)> finish(&target, [](const Target* t) {
    if (t->finish) t->finish();
  });
  Outcome outcome;
  for (const std::string& input : corpus) {
    if (!RunOne(target, input, &outcome)) return outcome;
  }
  Mutator mutator(target, corpus, seed);
  for (std::size_t i = 0; i < runs; ++i) {
    if (!RunOne(target, mutator.Next(), &outcome)) return outcome;
  }
  return outcome;
}

}  // namespace skerry::fuzz
