// What a credential plugin prints.
#include "fuzz.h"
#include "kube/credentials.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwarden;
  kube::ExecPlugin plugin;
  plugin.api_version = "client.authentication.k8s.io/v1";
  plugin.command = "plugin";
  const auto given = kube::parse_exec_credential(plugin, fuzz::as_text(data, size));
  if (given) {
    fuzz::expect(
        !given->credential.authorization.empty() || !given->credential.client_certificate_pem.empty(),
        "a credential is something");
    fuzz::expect(given->credential.authorization.find_first_of("\r\n") == std::string::npos,
                 "a token is one header line");
    (void)kube::still_usable(*given, kube::WallTime{});
  } else {
    fuzz::expect(!given.error().empty(), "an error says what is wrong");
  }
  return 0;
}
