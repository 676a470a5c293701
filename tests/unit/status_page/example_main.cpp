#include "status_page/render.h"
#include "unit/status_page/example_page.h"

#include <iostream>

int main() {
  std::cout << poolwarden::status_page::render(poolwarden::status_page::example_page());
}
