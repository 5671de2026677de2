"""Playing levels, finding what ended them, and comparing with the article."""
