// The gateway feed's metrics: names, labels and help texts live here alone. Owned by main and handed down by
// reference; every method may be called from any thread and none blocks.
#pragma once

#include "kube/reflector.h"
#include "kube/time.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace prometheus {
class Collectable;
}

namespace poolwarden::gateway {

class GatewayMetrics {
 public:
  GatewayMetrics();
  ~GatewayMetrics();
  GatewayMetrics(const GatewayMetrics&) = delete;
  GatewayMetrics& operator=(const GatewayMetrics&) = delete;

  // Event of the list or of a pod decoded -> the gateway acknowledged.
  void withdrawn(kube::Duration latency);
  void admitted(kube::Duration latency);
  void settled(std::int64_t revision, std::size_t ready, std::size_t draining, std::size_t places,
               std::size_t unplaced);
  void gateway_found();
  void gateway_restarted();
  void gateway_failed();
  void list_unreadable();
  // Something of the gateway is to be mended, though the list is carried out.
  void set_complaint(bool any);
  void watch_restarted(std::string_view resource, kube::RestartReason reason);
  // Addresses of the list that nothing is sent to, whatever it says.
  void set_refused(std::size_t addresses);
  // Endpoints of the list that their pods' own events keep out.
  void set_fallen(std::size_t pods);
  void set_watch_silence(std::string_view resource, kube::Duration since_last_byte);

  std::shared_ptr<prometheus::Collectable> collectable() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace poolwarden::gateway
