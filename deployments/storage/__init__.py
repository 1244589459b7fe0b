"""What takes the room in the portal, why it is kept, and letting go of what nothing needs any more."""
