// A gateway that is configured by a file: nginx, or any other. Its files are written from templates
// (list_template.h), and it is then made to read them (reload.h).
//
// A list counts as held once the gateway was made to read the files with exactly that list, and the time has
// passed that a reload may take (`pace`). No other reload begins before. What changes meanwhile is told with
// the next one, all at once. Whether a gateway read its files before we started, nobody knows: so it is made
// to read them once, though they are as they should be.
//
// A template that changes is read again. While it cannot be used, the last good one counts, the list goes on
// being followed, and complaint() says so. A file that somebody changes is written again. A file that is not
// there is written without endpoints at once, for a gateway that does not start without.
//
// Without a reload the files alone count, and nobody knows whether the gateway has read them.
//
// Owned and used by one thread. carry_out() blocks it as long as the reload's program runs.
#pragma once

#include "gateway/gateway.h"
#include "gateway/list_template.h"
#include "gateway/output_file.h"
#include "gateway/reload.h"
#include "gateway/template_plan.h"
#include "kube/time.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::gateway {

struct TemplatePaths {
  std::string in;
  std::string out;
};

// "IN:OUT". The error is for a person.
tl::expected<TemplatePaths, std::string> parse_template_paths(std::string_view text);

struct TemplateOptions {
  std::vector<TemplatePaths> templates;  // at least one
  Reload reload;
  std::chrono::milliseconds pace{300};  // without a reload it is of no use
  ListNames names;
};

class TemplateObservation final : public Observation {
 public:
  explicit TemplateObservation(TemplateSnapshot snapshot) : snapshot_(std::move(snapshot)) {}

  // Nobody asks it. One that was restarted has read its files.
  Process process() const override { return {}; }
  Plan plan(const std::vector<WantedServer>& wanted) const override {
    return make_template_plan(wanted, snapshot_);
  }
  std::vector<ServerAddress> addresses() const override;

 private:
  const TemplateSnapshot snapshot_;
};

class TemplateGateway final : public Gateway {
 public:
  explicit TemplateGateway(TemplateOptions options);

  kube::Result<std::shared_ptr<const Observation>> observe() override;
  kube::Result<std::vector<std::optional<std::string>>> carry_out(
      const std::vector<Command>& commands) override;
  std::string_view name() const override { return "the gateway"; }
  std::string where() const override;
  std::optional<std::string> complaint() const override;

 private:
  struct File {
    std::string source;  // of the template
    OutputFile out;
    std::optional<ListTemplate> good;  // the last that could be used
    std::optional<std::string> seen;   // the last that was read
    std::optional<std::string> problem;
    std::string told;    // what the gateway was made to read; of no use before that
    bool fresh = false;  // the template is another than told was made from
  };

  void look_at_template(File& file) const;
  kube::Result<std::vector<std::string>> render(const std::vector<ListedServer>& servers) const;
  kube::Result<bool> as_told() const;
  // Whether a file was not as it should be.
  kube::Result<bool> write(const std::vector<std::string>& texts);

  const TemplateOptions options_;
  std::vector<File> files_;
  std::vector<ListedServer> servers_;  // that the gateway was told of
  bool told_ = false;                  // the files as they are
  kube::TimePoint reloading_until_{};
};

}  // namespace poolwarden::gateway
