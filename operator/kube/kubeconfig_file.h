// Kubeconfig files as they are written: read, checked for their shape, merged. What the entries mean is
// kubeconfig.cpp's business. Inside these two files mistakes travel as KubeconfigMistake, the only exception
// of our own; load_kubeconfig() turns it, and yaml-cpp's, into an Error.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <yaml-cpp/yaml.h>

namespace poolwarden::kube {

class KubeconfigMistake : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// One named cluster, user or context, with where it stands.
class KubeconfigEntry {
 public:
  KubeconfigEntry(std::string file, std::string title, const YAML::Node& node)
      : file_(std::move(file)), title_(std::move(title)), node_(node) {}

  bool has(const char* key) const;
  std::string text(const char* key) const;       // empty if absent
  bool flag(const char* key) const;              // false if absent
  YAML::Node node(const char* key) const;        // undefined if absent
  KubeconfigEntry child(const char* key) const;  // empty map if absent
  std::string path(const char* key) const;       // relative ones are relative to the file's folder
  std::string resolved(const std::string& path) const;
  // The bytes of `key`-data (base64), else of the file `key` names, else nothing. With both, -data counts.
  std::string data_or_file(const std::string& key) const;

  const std::string& file() const { return file_; }
  const std::string& title() const { return title_; }  // "user \"admin\""
  [[noreturn]] void wrong(const std::string& what) const;

 private:
  std::string file_;
  std::string title_;
  YAML::Node node_;
};

struct Kubeconfig {
  std::map<std::string, KubeconfigEntry> clusters;
  std::map<std::string, KubeconfigEntry> users;
  std::map<std::string, KubeconfigEntry> contexts;
  std::string current_context;
  std::string files;  // those that were there, for messages
};

// The first file to name an entry, or to set current-context, wins. `missing` says whether files that are not
// there count as empty, as kubectl has it for $KUBECONFIG.
enum class MissingFile;
Kubeconfig read_kubeconfigs(const std::vector<std::string>& files, MissingFile missing);

}  // namespace poolwarden::kube
