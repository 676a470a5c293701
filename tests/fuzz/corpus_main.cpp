// A main() for a fuzzer's entry point where there is no libFuzzer: runs it over each file of the given
// directories, over truncations of it and over copies with a few bytes changed. The same every time.
#include "fuzz.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kTruncations = 100;
constexpr int kMutations = 150;

std::size_t run(const Bytes& input) {
  // A copy of exactly this size: a read beyond it is seen by AddressSanitizer.
  const Bytes exact(input);
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
  return 1;
}

Bytes mutated(const Bytes& input, std::mt19937& random) {
  Bytes copy = input;
  for (std::size_t changes = 1 + random() % 4; changes > 0 && !copy.empty(); --changes) {
    const auto at = static_cast<Bytes::difference_type>(random() % copy.size());
    switch (random() % 4) {
      case 0:  // one bit
        copy[static_cast<std::size_t>(at)] ^= static_cast<std::uint8_t>(1U << (random() % 8));
        break;
      case 1:  // another byte, often one that means something
        copy[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>("{}[]\",:\\\n-9e \xff"[random() % 15]);
        break;
      case 2:
        copy.erase(copy.begin() + at);
        break;
      default: {  // a piece of it twice
        const std::size_t most = std::min<std::size_t>(16, copy.size() - static_cast<std::size_t>(at));
        const Bytes piece(copy.begin() + at, copy.begin() + at + static_cast<Bytes::difference_type>(most));
        copy.insert(copy.begin() + at, piece.begin(), piece.end());
      }
    }
  }
  return copy;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  std::size_t runs = run({});
  std::mt19937 random(20260101);
  for (const auto& path : files) {
    std::ifstream file(path, std::ios::binary);
    const Bytes whole{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    runs += run(whole);
    const std::size_t step = whole.size() / kTruncations + 1;
    for (std::size_t size = 0; size < whole.size(); size += step) {
      runs += run(Bytes(whole.begin(), whole.begin() + static_cast<Bytes::difference_type>(size)));
    }
    for (int i = 0; i < kMutations; ++i) {
      runs += run(mutated(whole, random));
    }
  }
  std::printf("%zu inputs from %zu files\n", runs, files.size());
  return files.empty() ? 1 : 0;  // an empty corpus proves nothing
}
