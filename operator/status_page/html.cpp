#include "status_page/html.h"

#include "base/text.h"

namespace poolwarden::status_page {

std::string escaped(std::string_view foreign) {
  std::string out;
  for (const char c : base::printable(foreign)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

Html& Html::text(std::string_view foreign) {
  out_ += escaped(foreign);
  return *this;
}

Html& Html::number(std::int64_t value) {
  out_ += std::to_string(value);
  return *this;
}

}  // namespace poolwarden::status_page
