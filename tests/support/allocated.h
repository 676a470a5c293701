// How much memory this process has, as tests and benchmarks of what is kept count it.
#pragma once

#include <cstddef>
#include <malloc.h>

namespace poolwarden::test {

// What the allocator has handed out, with what it adds to each piece.
inline std::size_t bytes_in_use() {
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

}  // namespace poolwarden::test
