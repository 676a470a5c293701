#include "http_client.h"

#include <httplib.h>

namespace poolwarden::gateway {
namespace {

ClientAnswer answer_of(const httplib::Result& result) {
  if (!result) return {0, httplib::to_string(result.error())};
  return {result->status, result->body};
}

}  // namespace

struct HttpClient::Impl {
  httplib::Client client;
};

HttpClient::HttpClient(const std::string& ip, std::uint16_t port)
    : impl_(new Impl{httplib::Client(ip, port)}) {
  impl_->client.set_keep_alive(true);
  impl_->client.set_read_timeout(std::chrono::seconds(20));
}
HttpClient::~HttpClient() = default;

ClientAnswer HttpClient::post(const std::string& body) {
  return answer_of(impl_->client.Post("/v1/completions", body, "application/json"));
}
ClientAnswer HttpClient::get(const std::string& path) {
  return answer_of(impl_->client.Get(path));
}
void HttpClient::hang_up() {
  impl_->client.stop();
}

}  // namespace poolwarden::gateway
