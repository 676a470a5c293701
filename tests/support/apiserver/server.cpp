#include "support/apiserver/server.h"

#include "support/apiserver/server_impl.h"

#include <filesystem>
#include <fstream>
#include <sys/socket.h>

#include <boost/asio/ip/address.hpp>
#include <fmt/format.h>

namespace poolwarden::apiserver {
namespace {

using boost::asio::ip::tcp;
namespace ssl = boost::asio::ssl;

boost::asio::const_buffer buffer_of(const std::string& text) {
  return boost::asio::buffer(text.data(), text.size());
}

bool write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  return static_cast<bool>(file.flush());
}

Server::Impl::SslContext tls_context(const KeyPair& pair, const std::string& authority) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  context->use_certificate_chain(buffer_of(pair.certificate_pem));
  context->use_private_key(buffer_of(pair.key_pem), ssl::context::pem);
  context->add_certificate_authority(buffer_of(authority));
  // A client certificate is asked for but not demanded: tokens do as well.
  context->set_verify_mode(ssl::verify_peer);
  return context;
}

}  // namespace

Server::Impl::Impl(ServerOptions server_options)
    : options(std::move(server_options)),
      certificate(options.certificate),
      model(options.model),
      faults(options.model.seed),
      acceptor(io) {
  if (!options.tokens.empty()) credentials.token = options.tokens.begin()->first;
}

tl::expected<void, std::string> Server::Impl::set_up_tls() {
  if (!options.tls) return {};
  tl::expected<CertificateSet, std::string> made = make_certificates(options.address);
  if (!made) return tl::unexpected(made.error());
  credentials.ca_pem = made->authority_pem;
  credentials.client_cert_pem = made->client.certificate_pem;
  credentials.client_key_pem = made->client.key_pem;
  try {
    contexts[ServerCertificate::kGood] = tls_context(made->server, credentials.ca_pem);
    contexts[ServerCertificate::kUntrusted] = tls_context(made->untrusted, credentials.ca_pem);
    contexts[ServerCertificate::kExpired] = tls_context(made->expired, credentials.ca_pem);
    contexts[ServerCertificate::kWrongName] = tls_context(made->wrong_name, credentials.ca_pem);
  } catch (const boost::system::system_error& error) {
    return tl::unexpected(fmt::format("TLS could not be set up: {}", error.what()));
  }
  return {};
}

tl::expected<void, std::string> Server::Impl::listen(std::uint16_t on_port) {
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address_v4(options.address, error);
  if (error || !address.is_loopback()) {
    return tl::unexpected(
        fmt::format("{} is no address of 127.0.0.0/8; the stand-in serves nothing else", options.address));
  }
  const tcp::endpoint endpoint(address, on_port);
  const std::lock_guard lock(mutex);
  acceptor.open(tcp::v4(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(boost::asio::socket_base::max_listen_connections, error);
  if (error) {
    acceptor.close();
    return tl::unexpected(
        fmt::format("cannot listen on {}:{}: {}", options.address, on_port, error.message()));
  }
  listening = acceptor.native_handle();
  if (port == 0) port = acceptor.local_endpoint().port();  // never written again: others read it
  return {};
}

std::string Server::Impl::url() const {
  return fmt::format("{}://{}:{}", options.tls ? "https" : "http", options.address, port.load());
}

std::string Server::Impl::kubeconfig() const {
  std::string cluster = fmt::format("    server: {}\n", url());
  std::string contexts_text =
      "- name: standin\n  context: {cluster: standin, user: token, namespace: default}\n";
  std::string users = fmt::format("- name: token\n  user:\n    token: {}\n", credentials.token);
  if (options.tls) {
    cluster += fmt::format("    certificate-authority-data: {}\n", base64(credentials.ca_pem));
    contexts_text +=
        "- name: standin-certificate\n  context: {cluster: standin, user: certificate, namespace: default}\n";
    users += fmt::format(
        "- name: certificate\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n",
        base64(credentials.client_cert_pem), base64(credentials.client_key_pem));
  }
  return fmt::format(
      "apiVersion: v1\nkind: Config\nclusters:\n- name: standin\n  cluster:\n{}contexts:\n{}current-context: "
      "standin\n"
      "users:\n{}",
      cluster, contexts_text, users);
}

tl::expected<void, std::string> Server::Impl::write_files(const std::string& kubeconfig_text) const {
  if (options.directory.empty()) return {};
  const std::filesystem::path directory = options.directory;
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  bool ok = !error && write_file(directory / "kubeconfig", kubeconfig_text) &&
            write_file(directory / "token", credentials.token);
  if (options.tls) {
    ok = ok && write_file(directory / "ca.crt", credentials.ca_pem) &&
         write_file(directory / "client.crt", credentials.client_cert_pem) &&
         write_file(directory / "client.key", credentials.client_key_pem);
  }
  if (!ok) return tl::unexpected(fmt::format("cannot write the kubeconfig into {}", options.directory));
  std::filesystem::permissions(directory / "kubeconfig",
                               std::filesystem::perms::owner_read | std::filesystem::perms::owner_write,
                               error);
  return {};
}

// Listens, and after a refuse_for() closes, waits and listens again.
void Server::Impl::accept_loop() {
  while (true) {
    accept_until_refused();
    std::unique_lock lock(mutex);
    acceptor.close();
    listening = -1;
    while (!stopping && std::chrono::system_clock::now() < refuse_until)
      changed.wait_until(lock, refuse_until);
    if (stopping) return;
    lock.unlock();
    while (!listen(port)) {
      if (!pause(0.05)) return;  // the port may linger for a moment
    }
  }
}

void Server::Impl::accept_until_refused() {
  while (true) {
    reap();
    Connection* connection = nullptr;
    {
      const std::lock_guard lock(connections_mutex);
      connection = &connections.emplace_back(io);
      connection->done = true;  // until it has a thread
    }
    boost::system::error_code error;
    acceptor.accept(connection->socket, error);
    {
      const std::lock_guard lock(mutex);
      const bool refusing = stopping || std::chrono::system_clock::now() < refuse_until;
      if (error && !refusing) continue;  // the connection was gone before it was accepted
      if (refusing) return;
    }
    const std::lock_guard lock(connections_mutex);
    if (connections.size() > options.max_connections) continue;  // closed by the next reap()
    connection->socket.set_option(tcp::no_delay(true), error);
    connection->done = false;
    connection->thread = std::thread([this, connection] { serve(*connection); });
  }
}

void Server::Impl::reap() {
  const std::lock_guard lock(connections_mutex);
  std::erase_if(connections, [](Connection& connection) {
    if (!connection.done) return false;
    if (connection.thread.joinable()) connection.thread.join();
    return true;
  });
}

void Server::Impl::drop_connections() {
  const std::lock_guard lock(connections_mutex);
  for (Connection& connection : connections) {
    if (!connection.done) ::shutdown(connection.socket.native_handle(), SHUT_RDWR);
  }
}

void Server::Impl::refuse_for(std::chrono::milliseconds time) {
  const std::lock_guard lock(mutex);
  refuse_until = std::chrono::system_clock::now() + time;
  if (listening >= 0) ::shutdown(listening, SHUT_RDWR);
}

void Server::Impl::stop() {
  {
    const std::lock_guard lock(mutex);
    stopping = true;
    if (listening >= 0) ::shutdown(listening, SHUT_RDWR);
  }
  changed.notify_all();
  if (accept_thread.joinable()) accept_thread.join();
  drop_connections();
  // No new connections come; the threads take the lock themselves to say they are done.
  for (Connection& connection : connections) {
    if (connection.thread.joinable()) connection.thread.join();
  }
}

bool Server::Impl::pause(double seconds) {
  const auto until =
      std::chrono::system_clock::now() +
      std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::duration<double>(seconds));
  std::unique_lock lock(mutex);
  while (!stopping && std::chrono::system_clock::now() < until) changed.wait_until(lock, until);
  return !stopping;
}

kube::HttpResponse Server::Impl::handle(const kube::HttpRequest& request, const RequestInfo& info) {
  std::unique_lock lock(mutex);
  const std::uint64_t before = model.revision();
  const Timestamp at = now();
  kube::HttpResponse response = model.handle(request, at, info);
  response.date = at;
  const bool news = model.revision() != before;
  lock.unlock();
  if (news) changed.notify_all();
  return response;
}

tl::expected<std::unique_ptr<Server>, std::string> Server::start(ServerOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  if (auto done = impl->set_up_tls(); !done) return tl::unexpected(done.error());
  if (auto done = impl->listen(impl->options.port); !done) return tl::unexpected(done.error());
  if (auto done = impl->write_files(impl->kubeconfig()); !done) return tl::unexpected(done.error());
  impl->accept_thread = std::thread([inside = impl.get()] { inside->accept_loop(); });
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() {
  stop();
}

void Server::stop() {
  impl_->stop();
}
std::uint16_t Server::port() const {
  return impl_->port;
}
std::string Server::url() const {
  return impl_->url();
}
const Credentials& Server::credentials() const {
  return impl_->credentials;
}
std::string Server::kubeconfig() const {
  return impl_->kubeconfig();
}

std::string Server::kubeconfig_path() const {
  return impl_->options.directory.empty() ? std::string() : impl_->options.directory + "/kubeconfig";
}

void Server::with_model(const std::function<void(Model&)>& work) {
  {
    const std::lock_guard lock(impl_->mutex);
    work(impl_->model);
  }
  impl_->changed.notify_all();
}

kube::HttpResponse Server::request(const kube::HttpRequest& request, const RequestInfo& info) {
  return impl_->handle(request, info);
}

std::uint64_t Server::wait_for_change(std::uint64_t seen, std::chrono::milliseconds timeout) {
  const auto until = std::chrono::system_clock::now() + timeout;
  std::unique_lock lock(impl_->mutex);
  while (!impl_->stopping && impl_->model.revision() == seen) {
    if (impl_->changed.wait_until(lock, until) == std::cv_status::timeout) break;
  }
  return impl_->model.revision();
}

void Server::set_log_handler(LogHandler handler) {
  const std::lock_guard lock(impl_->mutex);
  impl_->log_handler = std::move(handler);
}

void Server::with_faults(const std::function<void(FaultSet&)>& work) {
  const std::lock_guard lock(impl_->mutex);
  work(impl_->faults);
}

void Server::drop_connections() {
  impl_->drop_connections();
}

void Server::refuse_for(std::chrono::milliseconds time) {
  impl_->refuse_for(time);
}

void Server::use_certificate(ServerCertificate certificate) {
  impl_->certificate = certificate;
}

std::size_t Server::connections() const {
  const std::lock_guard lock(impl_->connections_mutex);
  std::size_t count = 0;
  for (const Connection& connection : impl_->connections) count += connection.done ? 0 : 1;
  return count;
}

std::uint64_t Server::requests_served() const {
  return impl_->served;
}

}  // namespace poolwarden::apiserver
