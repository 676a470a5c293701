// How the status page looks: the one style sheet in it, and the policy that lets a browser use nothing else.
#pragma once

#include <string>
#include <string_view>

namespace poolwarden::status_page {

std::string_view style();

// For the header Content-Security-Policy: the style by its digest, an icon within the page, and nothing else.
std::string policy();

}  // namespace poolwarden::status_page
