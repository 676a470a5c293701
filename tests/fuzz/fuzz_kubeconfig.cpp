// A kubeconfig file.
#include "fuzz.h"
#include "kube/kubeconfig.h"

#include <string>
#include <sys/mman.h>
#include <unistd.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwarden;
  const int file = memfd_create("kubeconfig", 0);
  fuzz::expect(file >= 0 && write(file, data, size) == static_cast<ssize_t>(size), "a file in memory");
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  for (const char* context : {"", "other"}) {
    const auto access = kube::load_kubeconfig({path}, context, kube::MissingFile::kIsAnError);
    if (access) {
      fuzz::expect(!access->host.empty() && access->port != 0, "there is an address to connect to");
    } else {
      fuzz::expect(!access.error().message.empty(), "an error says what is wrong");
    }
  }
  close(file);
  return 0;
}
