#include "gateway/template_gateway.h"

#include "kube/read_file.h"

#include <utility>

#include <fmt/format.h>

namespace poolwarden::gateway {
namespace {

kube::Error unusable(std::string message) {
  return {kube::ErrorClass::kRetry, 0, "Template", std::move(message), std::nullopt};
}

}  // namespace

tl::expected<TemplatePaths, std::string> parse_template_paths(std::string_view text) {
  const std::size_t colon = text.find(':');
  TemplatePaths paths;
  if (colon != std::string_view::npos) {
    paths.in = text.substr(0, colon);
    paths.out = text.substr(colon + 1);
  }
  if (paths.in.empty() || paths.out.empty() || paths.out.find(':') != std::string::npos)
    return tl::unexpected(fmt::format(
        "'{}' is not IN:OUT, two paths without a colon, as in /etc/pool.tmpl:/run/pool.conf", text));
  if (paths.in == paths.out)
    return tl::unexpected(fmt::format("'{}' would overwrite its own template", text));
  if (paths.out.ends_with('/'))
    return tl::unexpected(fmt::format("'{}' is a directory, not a file", paths.out));
  return paths;
}

std::vector<ServerAddress> TemplateObservation::addresses() const {
  std::vector<ServerAddress> out;
  for (const ListedServer& server : snapshot_.servers) out.push_back(server.address);
  return out;
}

TemplateGateway::TemplateGateway(TemplateOptions options) : options_(std::move(options)) {
  for (const TemplatePaths& paths : options_.templates) {
    File file{paths.in, OutputFile(paths.out, "the gateway"), {}, {}, {}, {}, false};
    // What is wrong is said by observe().
    look_at_template(file);
    const auto there = file.out.read();
    if (there && !*there && file.good) {
      if (const auto text = file.good->render(options_.names, {})) (void)file.out.replace(*text);
    }
    files_.push_back(std::move(file));
  }
}

std::string TemplateGateway::where() const {
  std::string out;
  for (const File& file : files_) out += (out.empty() ? "" : ", ") + file.out.path();
  const std::string how = to_string(options_.reload);
  return how.empty() ? out : fmt::format("{} ({})", out, how);
}

std::optional<std::string> TemplateGateway::complaint() const {
  for (const File& file : files_) {
    if (file.problem) return file.problem;
  }
  return std::nullopt;
}

// A mounted ConfigMap is swapped as a whole: one version of the file or the other is read, or none for a
// moment.
void TemplateGateway::look_at_template(File& file) const {
  auto text = kube::read_file(file.source, ListTemplate::kMaxBytes);
  if (!text) {
    file.seen.reset();
    file.problem = fmt::format("--template: {}", text.error());
    return;
  }
  if (file.seen == *text) return;
  file.seen = *text;
  auto parsed = ListTemplate::parse(*std::move(text));
  if (!parsed) {
    file.problem = fmt::format("--template: {}: {}", file.source, parsed.error());
    return;
  }
  file.good = *std::move(parsed);
  file.fresh = true;
  file.problem.reset();
}

kube::Result<std::vector<std::string>> TemplateGateway::render(
    const std::vector<ListedServer>& servers) const {
  std::vector<std::string> texts;
  for (const File& file : files_) {
    auto text = file.good->render(options_.names, servers);
    if (!text) return tl::unexpected(unusable(fmt::format("--template: {}: {}", file.source, text.error())));
    texts.push_back(*std::move(text));
  }
  return texts;
}

kube::Result<bool> TemplateGateway::as_told() const {
  bool same = told_;
  for (const File& file : files_) {
    const auto text = file.out.read();
    if (!text) return tl::unexpected(text.error());
    same = same && !file.fresh && *text == file.told;
  }
  return same;
}

kube::Result<std::shared_ptr<const Observation>> TemplateGateway::observe() {
  for (File& file : files_) look_at_template(file);
  for (const File& file : files_) {
    if (!file.good) return tl::unexpected(unusable(*file.problem));
  }
  const auto known = as_told();
  if (!known) return tl::unexpected(known.error());
  const bool reloading = std::chrono::steady_clock::now() < reloading_until_;
  return std::make_shared<const TemplateObservation>(TemplateSnapshot{servers_, *known, reloading});
}

kube::Result<bool> TemplateGateway::write(const std::vector<std::string>& texts) {
  bool written = false;
  for (std::size_t i = 0; i < files_.size(); ++i) {
    const auto before = files_[i].out.read();
    if (!before) return tl::unexpected(before.error());
    if (*before == texts[i]) continue;
    told_ = false;  // of whatever was told: the file is another now
    written = true;
    if (auto replaced = files_[i].out.replace(texts[i]); !replaced) return tl::unexpected(replaced.error());
  }
  return written;
}

kube::Result<std::vector<std::optional<std::string>>> TemplateGateway::carry_out(
    const std::vector<Command>& commands) {
  std::vector<ListedServer> servers = list_after(servers_, commands);
  auto texts = render(servers);
  if (!texts) return tl::unexpected(texts.error());
  const auto written = write(*texts);
  if (!written) return tl::unexpected(written.error());
  if (!told_ && options_.reload.index() != 0) {
    const auto done = run_reload(options_.reload);
    // A program that has ended has only told it, as a rule: nginx takes 100 ms more until its old workers
    // stop. So may one that has failed.
    reloading_until_ = std::chrono::steady_clock::now() + options_.pace;
    if (!done) return tl::unexpected(done.error());
  }
  told_ = true;
  servers_ = std::move(servers);
  for (std::size_t i = 0; i < files_.size(); ++i) {
    files_[i].told = std::move((*texts)[i]);
    files_[i].fresh = false;
  }
  return std::vector<std::optional<std::string>>(commands.size());
}

}  // namespace poolwarden::gateway
